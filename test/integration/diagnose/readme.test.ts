import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { XMLParser } from 'fast-xml-parser'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseDocument } from '../../../src/config/file.js'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { createClock } from '../../../src/util/async.js'
import { BIN } from '../../helpers/cli.js'
import { type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const README = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8')

const SECRET = 'client-secret-7Qx'

const URL_THERE = 'https://mcp.example.com/mcp'

const COMMAND_THERE = 'npx -y mcp-descope-proxy'

interface Step {
  run?: string
  env?: Record<string, string>
  with?: { path?: string }
}

/** The steps of the workflow in the README. */
function readSteps(): Step[] {
  const blocks = [...README.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(([, text = '']) => text)
  const workflow = blocks.find((text) => text.includes(`${COMMAND_THERE} test-target`))
  const document = parseDocument('workflow.yml', workflow ?? '')
  if (typeof document === 'string') throw new Error(document)
  const { jobs } = document.content as { jobs: Record<string, { steps: Step[] }> }
  return Object.values(jobs).flatMap(({ steps }) => steps)
}

let identity: Identity

let target: RecordingTarget

let stack: Stack

beforeAll(async () => {
  const clients = [{ clientId: 'machine', clientSecret: SECRET }]
  identity = await startIdentity({ clock: createClock(), clients })
  target = await startRecordingTarget({ tools: [tool('search')] })
  stack = await startStack({ identity, targets: { docs: { url: target.url, prefix: '' } } })
})

afterAll(() => Promise.all([stack.close(), target.close(), identity.close()]))

/** Runs what a step runs, as GitHub does: in a folder of its own, by `bash -e`. */
async function runStep({ run = '', env = {} }: Step, values: Record<string, string>) {
  expect(run).toContain(COMMAND_THERE)
  expect(run).toContain(URL_THERE)
  const place = mkdtempSync(join(tmpdir(), 'workflow-'))
  const [folder, summary, script] = [join(place, 'work'), join(place, 'sum.md'), join(place, 'run')]
  mkdirSync(folder)
  const program = `"${process.execPath}" "${BIN}"`
  const text = run
    .replaceAll(COMMAND_THERE, () => program)
    .replaceAll(URL_THERE, stack.server.resource)
  writeFileSync(script, text)
  const filled = Object.entries(env).map(([name, value]) => {
    const [, variable = ''] = /^\$\{\{ (?:vars|secrets)\.(\w+) \}\}$/.exec(value) ?? []
    const known = values[variable]
    if (known === undefined) throw new Error(`There is no value for ${name}: ${value}`)
    return [name, known]
  })
  const options = {
    cwd: folder,
    env: {
      ...{ PATH: process.env['PATH'], HOME: folder, CI: 'true', GITHUB_ACTIONS: 'true' },
      GITHUB_STEP_SUMMARY: summary,
      ...Object.fromEntries(filled),
    },
  }
  return new Promise<{
    status: number
    stdout: string
    stderr: string
    folder: string
    summary: string
  }>((resolve) => {
    execFile('bash', ['-e', script], options, (error, stdout, stderr) => {
      const status = error === null ? 0 : Number(error.code)
      resolve({ status, stdout, stderr, folder, summary: readFileSync(summary, 'utf8') })
    })
  })
}

function readSuite(folder: string) {
  const parser = new XMLParser({ ignoreAttributes: false, isArray: (name) => name === 'testcase' })
  return parser.parse(readFileSync(join(folder, 'mcp.xml'), 'utf8')).testsuites.testsuite
}

describe('the workflow in the README', () => {
  const steps = readSteps()
  const [step = {}] = steps.filter(({ run }) => run !== undefined)
  const values = { MCP_DESCOPE_CLIENT_ID: 'machine', MCP_DESCOPE_CLIENT_SECRET: SECRET }

  it('passes as it is written, and leaves behind what it uploads', async () => {
    const { status, stdout, stderr, folder, summary } = await runStep(step, values)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).not.toMatch(/^::/m)
    expect(stdout).not.toContain(SECRET)
    expect(stdout).toMatch(/^ \[ok\] +tools\.call:search /m)
    const upload = steps.find((other) => other.with?.path !== undefined)
    expect(existsSync(join(folder, upload?.with?.path ?? 'none'))).toBe(true)
    const suite = readSuite(folder)
    expect(suite).toMatchObject({ '@_failures': '0', '@_errors': '0' })
    expect(suite.testcase.map((one: { '@_name': string }) => one['@_name'])).toContain('auth.token')
    expect(summary).toMatch(/^### ✅ /)
    expect(summary).toContain('| ✅ | auth.token | client credentials, aud ok, 10 min left |')
    expect(target.of('tools/call')).toHaveLength(1)
  })

  it('fails with annotations where the client has a wrong secret', async () => {
    const wrong = { ...values, MCP_DESCOPE_CLIENT_SECRET: 'wrong-secret-9' }
    const { status, stdout, folder, summary } = await runStep(step, wrong)
    expect(status).toBe(3)
    const [annotation] = stdout.match(/^::.*$/m) ?? []
    expect(annotation).toMatch(/^::error title=auth\.token \(.*\)::/)
    expect(annotation).toContain('%0ACheck MCP_DESCOPE_CLIENT_ID and MCP_DESCOPE_CLIENT_SECRET.')
    expect(stdout + summary).not.toContain('wrong-secret-9')
    expect(readSuite(folder)).toMatchObject({ '@_failures': '1' })
    expect(summary).toMatch(/^### ❌ /)
    expect(summary).toContain('| ❌ | auth.token |')
  })
})
