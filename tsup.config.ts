import { defineConfig } from 'tsup'
import manifest from './package.json' with { type: 'json' }

export default defineConfig({
  entry: ['src/cli.ts', 'src/index.ts'],
  format: 'esm',
  target: 'node20',
  platform: 'node',
  dts: { entry: 'src/index.ts' },
  define: { __VERSION__: JSON.stringify(manifest.version) },
  splitting: true,
  // names stay, so that stack traces can be read
  esbuildOptions(options) {
    options.minifyWhitespace = true
    options.minifySyntax = true
  },
  clean: true,
})
