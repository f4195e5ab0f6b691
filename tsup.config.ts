import { copyFileSync, readFileSync, rmSync } from 'node:fs'
import { resolve } from 'node:path'
import { rollup } from 'rollup'
import { defineConfig } from 'tsup'
import manifest from './package.json' with { type: 'json' }

const OUT = 'dist'
const METAFILE = `${OUT}/metafile-esm.json`

/** What a start of the bridge with a kept sign-in loads, whatever else it may load later. */
const START = [
  'src/cli/commands/stdio.ts',
  'src/usecases/run-bridge/run-bridge.ts',
  'src/auth/tokens/token-source.ts',
]

/** What commander, which is CommonJS, has in place of imports. Who does not use it loses it again. */
const REQUIRE =
  "import{createRequire as toRequire}from'node:module';const require=/*#__PURE__*/toRequire(import.meta.url);"

export default defineConfig({
  entry: ['src/cli.ts', 'src/index.ts'],
  format: 'esm',
  target: 'node20',
  platform: 'node',
  dts: { entry: 'src/index.ts' },
  define: { __VERSION__: JSON.stringify(manifest.version) },
  splitting: true,
  metafile: true,
  // names stay, so that stack traces can be read
  esbuildOptions(options) {
    // OpenTelemetry's modules lose what is not used; its CommonJS twins would keep all of it
    options.mainFields = ['module', 'main']
    options.minifyWhitespace = true
    options.minifySyntax = true
    options.banner = { js: REQUIRE }
  },
  esbuildPlugins: [
    {
      // iovalkey would print passwords with it where DEBUG is set
      name: 'no-debug',
      setup(build) {
        build.onResolve({ filter: /^debug$/ }, () => ({ path: 'debug', namespace: 'none' }))
        build.onLoad({ filter: /./, namespace: 'none' }, () => ({
          contents: 'export default () => () => undefined',
        }))
      },
    },
  ],
  clean: true,
  onSuccess: joinStart,
})

interface Output {
  entryPoint?: string
  imports: { path: string; kind: string }[]
}

/**
 * Joins the many small chunks that a start of the bridge loads to one: each file costs a third of a
 * millisecond, and a host waits for all of them. For the same reason commander is in it, the only
 * package that each start needs: Node takes twice as long to find and load it by itself.
 */
async function joinStart(): Promise<void> {
  const { outputs }: { outputs: Record<string, Output> } = JSON.parse(
    readFileSync(METAFILE, 'utf8'),
  )
  rmSync(METAFILE)
  const start = new Set<string>()
  const local = (path: string) =>
    (outputs[path]?.imports ?? [])
      .filter(({ path: next, kind }) => kind === 'import-statement' && next in outputs)
      .map(({ path: next }) => next)
  const add = (path: string) => {
    if (start.has(path)) return
    start.add(path)
    for (const next of local(path)) add(next)
  }
  for (const [path, { entryPoint = '' }] of Object.entries(outputs)) {
    if (START.includes(entryPoint)) add(path)
    // it runs when it is loaded, so that nothing else may be in its file
    if (entryPoint === 'src/cli.ts') for (const next of local(path)) add(next)
  }
  const joined = new Set([...start].map((path) => resolve(path)))
  const entries = { cli: `${OUT}/cli.js`, index: `${OUT}/index.js` }
  const bundle = await rollup({
    input: entries,
    logLevel: 'warn',
    external: (id) => !id.startsWith('.') && !id.startsWith('/'),
    onwarn: (warning) => {
      throw new Error(warning.message)
    },
  })
  for (const path of Object.keys(outputs)) if (path.endsWith('.js')) rmSync(path)
  await bundle.write({
    dir: OUT,
    format: 'esm',
    compact: true,
    hoistTransitiveImports: false,
    manualChunks: (id) => (joined.has(id) ? 'start' : undefined),
    onlyExplicitManualChunks: true,
    // a file of its own costs more than a few lines that somebody else needs
    experimentalMinChunkSize: 1000,
  })
  copyFileSync('node_modules/commander/LICENSE', `${OUT}/commander-LICENSE.txt`)
  const telemetry = 'node_modules/@opentelemetry/sdk-trace-base/LICENSE'
  copyFileSync(telemetry, `${OUT}/opentelemetry-LICENSE.txt`)
  copyFileSync('node_modules/@marcbachmann/cel-js/LICENSE', `${OUT}/cel-js-LICENSE.txt`)
  copyFileSync('node_modules/@bufbuild/re2/LICENSE', `${OUT}/re2-LICENSE.txt`)
  copyFileSync('node_modules/iovalkey/LICENSE', `${OUT}/iovalkey-LICENSE.txt`)
}
