// Builds auth-client.js, one readable file that is committed because the service serves it, and dist/ for the npm package.
const input = "src/auth-client.js";
const banner = "// Generated from src/ by `npm run build`. Types: auth-client.d.ts. Usage: README.md.";

export default [
  { input, output: { file: "auth-client.js", banner } },
  { input, output: { file: "dist/auth-client.min.js", minify: true, sourcemap: true } },
];
