// The client for other people's pages: one ES module, /client/mqtt.js.
import { join } from "node:path";
import { defineConfig } from "vite";

export default defineConfig({
  publicDir: false,
  build: {
    outDir: join(import.meta.dirname, "../dist/client"),
    emptyOutDir: false,
    target: "es2022",
    license: { fileName: "licenses.md" },
    lib: { entry: join(import.meta.dirname, "client/mqtt.ts"), formats: ["es"], fileName: () => "mqtt.js" },
  },
});
