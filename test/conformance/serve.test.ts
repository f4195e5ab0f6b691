import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../src/demo/identity/index.js'
import { createBrowser, createHome } from '../helpers/bridge.js'
import { runCli, startCli } from '../helpers/cli.js'
import { clock } from '../helpers/stack.js'
import { startEverythingV1 } from './everything/sdk-v1.js'
import { startEverythingV2 } from './everything/sdk-v2.js'
import { THREE_TARGETS, WITHOUT_TASKS } from './expected.js'
import { startShim } from './shim.js'
import { installSuite, type Outcome, type Revision, runSuite } from './suite/run.js'

const PROGRAM = await installSuite()
const OLD = '2025-11-25'
const MODERN = '2026-07-28'

let identity: Identity
const servers = new Map<'v1' | 'v2', string>()
const closing: (() => unknown)[] = []
beforeAll(async () => {
  identity = await startIdentity({ clock })
  const [v1, v2] = await Promise.all([startEverythingV1(), startEverythingV2()])
  servers.set('v1', v1.url).set('v2', v2.url)
  closing.push(identity.close, v1.close, v2.close)
})
afterAll(async () => {
  for (const close of closing.reverse()) await close()
})

/** Starts `serve` with its sign-in, signs in, and puts the shim in front, which shows one target. */
async function startServe(
  targets: Record<string, object | undefined>,
  shown?: string,
): Promise<string> {
  const config = join(mkdtempSync(join(tmpdir(), 'serve-')), 'config.json')
  const descope = { configUrl: identity.configUrl }
  writeFileSync(config, JSON.stringify({ descope, server: { port: 0 }, targets }))
  const args = ['serve', '--config', config, '--log-format', 'json']
  const { waitFor, child, ended } = startCli(args, { timeoutMs: 120_000 })
  const [, port] = await waitFor('stderr', /"event":"listening".*:(\d+)\/mcp"/)
  closing.push(async () => {
    child.kill('SIGTERM')
    await ended
  })
  const url = `http://localhost:${port}/mcp`
  const shim = await startShim(url, await signIn(url), shown)
  closing.push(shim.close)
  return shim.url
}

async function signIn(url: string): Promise<string> {
  const env = { MCP_DESCOPE_HOME: createHome(), BROWSER: createBrowser(true).path }
  expect((await runCli(['login', url], { env })).status).toBe(0)
  return (await runCli(['token', url], { env })).stdout.trim()
}

/** The target has no tasks and fails here; `serve` refuses a task by itself that it gave to nobody. */
const UNKNOWN_TASK = 'sep-2663-tasks-get-invalid-task-id-32602'

const done = new Map<string, Promise<Outcome>>()
/** Runs the suite, once for each server and revision. */
function run(url: string, revision: Revision): Promise<Outcome> {
  const key = `${url} ${revision}`
  const outcome = done.get(key) ?? runSuite(PROGRAM ?? '', 'server', revision, ['--url', url])
  done.set(key, outcome)
  return outcome
}

const direct = (server: 'v1' | 'v2', revision: Revision) => run(servers.get(server) ?? '', revision)

describe.skipIf(PROGRAM === undefined)('the conformance suite', { timeout: 60_000 }, () => {
  it.each([
    { server: 'v1', revision: OLD, scored: 30, passed: 84, failing: {} },
    { server: 'v2', revision: OLD, scored: 30, passed: 84, failing: {} },
    { server: 'v2', revision: MODERN, scored: 37, passed: 164, failing: WITHOUT_TASKS },
  ] as const)('passes at the server on SDK $server with $revision', async (row) => {
    const outcome = await direct(row.server, row.revision)
    expect(outcome.problems).toEqual(row.failing)
    expect(outcome.scored).toHaveLength(row.scored)
    expect([...outcome.scenarios.keys()]).toEqual(expect.arrayContaining([...outcome.scored]))
    expect(outcome).toMatchObject({ passed: row.passed, status: 0 })
  })

  it.each([
    { server: 'v1', revisions: [OLD] },
    { server: 'v2', revisions: [OLD, MODERN] },
  ] as const)(
    '[mcp-conformance-server] finds the same through serve with a target on SDK $server',
    async (row) => {
      const url = await startServe({ only: { url: servers.get(row.server), prefix: '' } })
      for (const revision of row.revisions) {
        const outcome = await run(url, revision)
        const { scenarios } = await direct(row.server, revision)
        const expected = [...scenarios].map(([name, checks]) => {
          return [
            name,
            checks.map((check) =>
              check.startsWith(UNKNOWN_TASK) ? `${UNKNOWN_TASK} SUCCESS` : check,
            ),
          ]
        })
        expect([...outcome.scenarios]).toEqual(expected)
        expect(outcome.status).toBe(0)
      }
    },
  )

  it.each([
    { shown: 'v1', others: ['v2', 'v1'], revision: OLD, passed: 83, lost: THREE_TARGETS },
    { shown: 'v2', others: ['v2', 'v2'], revision: MODERN, passed: 164, lost: {} },
  ] as const)(
    'finds the same through serve with three targets in $revision, but for what is listed',
    async (row) => {
      const all = [row.shown, ...row.others].map((server) => ({ url: servers.get(server) }))
      const [first, second, third] = all
      const outcome = await run(await startServe({ first, second, third }, 'first'), row.revision)
      const { scenarios } = await direct(row.shown, row.revision)
      const differing = [...scenarios].flatMap(([name, checks]) => {
        const found = new Set(outcome.scenarios.get(name))
        const lost = checks.filter((check) => !found.has(check)).map((check) => check.split(' ')[0])
        return lost.length === 0 ? [] : [[name, lost]]
      })
      expect(Object.fromEntries(differing)).toEqual(row.lost)
      expect(outcome).toMatchObject({ status: 0, passed: row.passed })
    },
  )
})
