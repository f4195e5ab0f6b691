import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const SOURCE = fileURLToPath(new URL('go', import.meta.url))
const run = promisify(execFile)

/** What the client printed. */
export interface GoOutcome {
  connect?: string
  version?: string
  ping?: string
  call?: string
  content?: unknown
}

/** Calls a tool twice with a client on the Go SDK. */
export type GoClient = (url: string, tool: string, token: string) => Promise<GoOutcome>

/**
 * Builds a client on a version of the Go SDK.
 *
 * @returns `undefined` where there is no Go, or no such module to be had, which is told.
 */
export async function buildGoClient(sdk: string): Promise<GoClient | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'go-client-'))
  cpSync(SOURCE, folder, { recursive: true })
  if (sdk !== 'v1.8.0') {
    const requirement = `require github.com/modelcontextprotocol/go-sdk ${sdk}`
    writeFileSync(
      join(folder, 'go.mod'),
      `module example.com/go-client\n\ngo 1.24\n\n${requirement}\n`,
    )
  }
  const program = join(folder, 'client')
  try {
    const env = { ...process.env, GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local' }
    await run('go', ['build', '-o', program, '.'], { cwd: folder, env })
  } catch {
    console.warn(`skipped: what needs go-sdk ${sdk} (there is no Go that builds it)`)
    return undefined
  }
  return async (url, tool, token) => {
    const { stdout } = await run(program, [url, tool], { env: { TOKEN: token } })
    return JSON.parse(stdout)
  }
}
