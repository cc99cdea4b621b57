import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

const dist = join(import.meta.dirname, "../dist");

// The folder itself and its .placeholder stay: `go build` embeds it, with or without a page.
function emptyDist(): Plugin {
  return {
    name: "empty-dist",
    apply: "build",
    buildStart() {
      for (const name of readdirSync(dist)) {
        if (name !== ".placeholder") rmSync(join(dist, name), { recursive: true });
      }
    },
  };
}

export default defineConfig({
  plugins: [emptyDist()],
  build: {
    outDir: dist,
    emptyOutDir: false,
    target: "es2022",
    assetsInlineLimit: 0, // the content security policy allows no data: address
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8080" } },
});
