import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { CLIENT, createHome } from '../helpers/bridge.js'
import { serveWith } from '../helpers/check.js'
import { createFolder } from '../helpers/folder.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SAYS = 'A part of this program is missing. It was updated'

/** Copies the program without the file of its `dist` that defines a function. */
function programWithout(name: string): { bin: string; gone: string } {
  const folder = createFolder()
  for (const part of ['bin', 'dist', 'package.json']) {
    cpSync(join(ROOT, part), join(folder, part), { recursive: true })
  }
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction')
  const [gone = '', ...others] = readdirSync(join(folder, 'dist')).filter((file) =>
    readFileSync(join(folder, 'dist', file), 'utf8').includes(`function ${name}(`),
  )
  expect(others.filter((file) => file !== 'index.js')).toEqual([])
  rmSync(join(folder, 'dist', gone))
  return { bin: join(folder, 'bin', 'mcp-descope-proxy.js'), gone }
}

it('says of a command that is gone that the program may have been updated', async () => {
  const { bin, gone } = programWithout('configCommand')
  const argv = [bin, 'config', 'show']
  const { stderr } = await promisify(execFile)(process.execPath, argv).catch((error) => error)
  expect(stderr).toContain(`error: ${SAYS}`)
  expect(stderr).toContain(gone)
  expect(stderr).not.toContain('a mistake in the program')
})

const unsupported = { code: -32022, message: 'no', data: { supported: ['2026-07-28'] } }
it.each([
  { part: 'createSseUpstream', status: 404, body: 'Cannot POST /mcp' },
  { part: 'createTranslator', status: 400, body: { jsonrpc: '2.0', id: 1, error: unsupported } },
])(
  'the bridge answers, and goes on, without its $part',
  async (row) => {
    const target = await serveWith((_request, response) => {
      response.writeHead(row.status, { 'content-type': 'application/json' })
      response.end(typeof row.body === 'string' ? row.body : JSON.stringify(row.body))
    })
    const env = { PATH: process.env['PATH'], MCP_DESCOPE_HOME: createHome() }
    const bridge = spawn(process.execPath, [programWithout(row.part).bin, 'stdio', target.url], {
      env,
    })
    let stderr = ''
    bridge.stderr.on('data', (chunk) => {
      stderr += chunk
    })
    const lines = createInterface(bridge.stdout)[Symbol.asyncIterator]()
    const request = { jsonrpc: '2.0', id: 1, method: 'initialize', params: CLIENT }
    bridge.stdin.write(`${JSON.stringify(request)}\n`)
    const answer = (await lines.next()).value ?? ''
    expect(JSON.parse(answer)).toMatchObject({ id: 1 })
    bridge.stdin.end()
    expect(await once(bridge, 'close')).toEqual([0, null])
    expect(answer + stderr).toContain(SAYS)
    await target.close()
  },
  30_000,
)
