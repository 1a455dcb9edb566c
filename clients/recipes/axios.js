// axios with the client's session. Usage: authenticate(axios.create({ baseURL }), auth)

export function authenticate(instance, auth) {
  instance.interceptors.request.use(async (config) => {
    config.session = config.renewed ?? (await auth.fresh());
    if (config.session) config.headers.set("Authorization", `Bearer ${config.session.accessToken}`);
    return config;
  });
  instance.interceptors.response.use(undefined, async (error) => {
    const { config, response } = error;
    if (response?.status !== 401 || !config.session || config.renewed) throw error;
    const renewed = await auth.refresh(config.session);
    return instance.request({ ...config, renewed });
  });
  return instance;
}
