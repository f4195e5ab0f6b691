import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createHome } from '../../helpers/bridge.js'
import { runCli } from '../../helpers/cli.js'
import { createFolder } from '../../helpers/folder.js'
import { tool } from '../../helpers/targets/contents.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

let target: RecordingTarget
let asked = 0

beforeAll(async () => {
  target = await startRecordingTarget({
    tools: ['read_a', 'Delete_a', 'pay'].map((name) => tool(name)),
  })
  target.intercept(() => {
    asked++
    return false
  })
})
afterAll(() => target.close())

const run = (cwd: string, args: readonly string[], env: Record<string, string> = {}) =>
  runCli(args, { cwd, env: { MCP_DESCOPE_HOME: createHome(), ...env }, timeoutMs: 30_000 })

it('the folder of a report is made', async () => {
  const cwd = createFolder()
  const { status } = await run(cwd, ['test-target', target.url, '--reporter', 'junit=a/b/mcp.xml'])
  expect(status).toBe(0)
  expect(readFileSync(join(cwd, 'a/b/mcp.xml'), 'utf8')).toContain('<testsuites')
})

it.each([
  ['below a file', 'junit=file/mcp.xml', {}],
  ['in place of a folder', 'junit=folder', {}],
  ['as a folder', 'default,junit=new/', {}],
  ['in the summary of a job', 'github', { GITHUB_STEP_SUMMARY: 'file/summary.md' }],
])(
  'a report that cannot be written (%s) is told before anything is asked',
  async (_name, reporter, env) => {
    const cwd = createFolder({ file: 'x', 'folder/x': 'x' })
    asked = 0
    const { status, stdout, stderr } = await run(
      cwd,
      ['test-target', target.url, '--reporter', reporter],
      env,
    )
    expect({ status, stdout, asked }).toEqual({ status: 2, stdout: '', asked: 0 })
    expect(stderr).toContain('Cannot write the report to')
  },
)

it('an interrupted or failed start leaves no empty report behind', async () => {
  const cwd = createFolder()
  const args = ['test-target', 'no-such-target', '--reporter', 'junit=out/mcp.xml']
  expect((await run(cwd, args)).status).toBe(2)
  expect(existsSync(join(cwd, 'out/mcp.xml'))).toBe(false)
})

it('inspect marks the tools that policy refuses, and those that depend on the caller', async () => {
  const tools = { deny: ['delete_*'], roles: { pay: ['admin'] } }
  const targets = { docs: { url: target.url, tools } }
  const cwd = createFolder({ '.mcp-descope-proxyrc.json': { targets } })
  const json = await run(cwd, ['inspect', 'docs', '--json'])
  expect(JSON.parse(json.stdout).tools).toMatchObject([
    { name: 'read_a', policy: 'allowed' },
    { name: 'Delete_a', policy: 'refused' },
    { name: 'pay', policy: 'restricted' },
  ])
  const text = await run(cwd, ['inspect', 'docs'])
  expect(text.stdout).toMatch(/Delete_a\(.*\) +refused by policy: nobody sees it/)
  expect(text.stdout).toMatch(/pay\(.*\) +not for every caller/)
  expect(text.stdout).not.toMatch(/read_a\(.*\) +(refused|not for)/)
})
