import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const server = process.env.UNIVRS_SERVER ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react(), tailwindcss()],
  build: {
    outDir: "../crates/faces/dashboard/assets/site",
    emptyOutDir: true,
    target: ["chrome123", "firefox121", "safari17.5"],
    // The page may not load `data:` scripts or styles, and a file of its own caches better.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 600,
    rolldownOptions: {
      output: {
        codeSplitting: {
          // What the first view needs is one file beside the entry, not one for every set of views that share a part:
          // each file costs a slow machine some of its time.
          groups: [{ name: "base", test: /node_modules[\\/](react|react-dom|scheduler|@tanstack|openapi-fetch)[\\/]|[\\/]src[\\/](ui|api|live)[\\/]/ }],
        },
      },
    },
  },
  worker: { format: "es" },
  server: {
    port: 5173,
    proxy: { "/api": server, "/mcp": server, "/healthz": server, "/ws": { target: server, ws: true } },
  },
  // What is tested here is pure; the page itself is tested in a browser, by e2e/.
  test: { environment: "node", include: ["src/**/*.test.{ts,tsx}"] },
});
