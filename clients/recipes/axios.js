// axios with the client's session. Usage: authenticate(axios.create({ baseURL }), auth)

/**
 * @typedef {import("@authproject/client").Session} Session
 * @typedef {import("axios").InternalAxiosRequestConfig & { session?: Session | null, renewed?: Session }} Config
 */

/**
 * @param {import("axios").AxiosInstance} instance
 * @param {import("@authproject/client").AuthClient} auth
 */
export function authenticate(instance, auth) {
  instance.interceptors.request.use(async (/** @type {Config} */ config) => {
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
