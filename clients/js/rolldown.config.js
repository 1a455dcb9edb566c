// Builds the readable files that are committed because the service serves them, and dist/ for the npm package.
const input = "src/auth-client.js";
const bannerFor = (types) => `// Generated from src/ by \`npm run build\`. Types: ${types}. Usage: README.md.`;

export default [
  { input, output: { file: "auth-client.js", banner: bannerFor("auth-client.d.ts") } },
  { input, output: { file: "dist/auth-client.min.js", minify: true, sourcemap: true } },
  {
    input: "src/factors.js",
    external: ["./auth-client.js"], // Both files share one client.
    makeAbsoluteExternalsRelative: false,
    output: { file: "factors.js", banner: bannerFor("factors.d.ts") },
  },
];
