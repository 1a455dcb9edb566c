import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  // The service and the API allow this origin (CORS), so that another port would not work.
  server: { port: 5173, strictPort: true },
});
