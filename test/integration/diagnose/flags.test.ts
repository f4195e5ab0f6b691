import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { XMLParser, XMLValidator } from 'fast-xml-parser'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createHome } from '../../helpers/bridge.js'
import { check } from '../../helpers/check.js'
import { runCli, startCli } from '../../helpers/cli.js'
import { freePort } from '../../helpers/sign-in.js'
import { startHostileTarget } from '../../helpers/targets/hostile.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

let target: RecordingTarget
let folder: string
const env = { MCP_DESCOPE_HOME: createHome() }

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'checks-'))
  target = await startRecordingTarget({
    tools: [{ name: 'dotted.name', inputSchema: { type: 'object' } }],
    handlers: {
      'tools/call': () => ({ content: [{ type: 'text', text: 'sorry <&"]]>' }], isError: true }),
    },
  })
})
afterEach(() => target.close())

const run = (...args: string[]) =>
  runCli(['test-target', target.url, ...args], { env, cwd: folder })

describe('the exit status', () => {
  it.each([
    ['0: all is well', [], 0],
    ['1: strict, with a warning', ['--strict'], 1],
    [
      '1: a result without the text',
      ['--call', 'dotted.name expect {"isError":true,"contains":"no"}'],
      1,
    ],
    ['2: an unknown check', ['--only', 'no.such'], 2],
    ['2: a wrong call', ['--call', 'echo {'], 2],
    ['2: a wrong reporter', ['--reporter', 'tap'], 2],
    ['2: two documents for stdout', ['--reporter', 'json,junit'], 2],
    ['2: a wrong budget', ['--budget', 'fast'], 2],
    ['2: a baseline that is not there', ['--baseline', 'none.txt'], 2],
    ['5: a tool that fails', ['--call', 'dotted.name {}'], 5],
    ['5: no such tool', ['--call', 'nope'], 5],
    ['0: a failure that is expected', ['--call', 'dotted.name {} expect {"isError":true}'], 0],
  ])('is %s', async (_name, args, status) => {
    expect((await run(...args)).status).toBe(status)
  })

  it('is the first of 4, 3, 6, 5, 1 when several apply', async () => {
    target.on('resources/list', () => ({ resources: 'none' }))
    target.contents.capabilities = { tools: {}, resources: {} }
    expect((await run('--call', 'nope', '--strict')).status).toBe(6)
  })

  it('is 130 when it is interrupted', async () => {
    const hostile = await startHostileTarget()
    const cli = startCli(['test-target', hostile.at('hang-before-headers')], { env })
    await cli.waitFor('stdout', /reach\.tcp/)
    cli.child.kill('SIGINT')
    expect((await cli.ended).status).toBe(130)
    await hostile.close()
  })
})

describe('--only and --skip', () => {
  it('run what is needed besides, and tell of it only when it fails', async () => {
    const found = await check(target.url, ['--only', 'tools.*'])
    expect(found.report.checks.map(({ id }) => id)).toEqual(['tools.list', 'tools.names'])
    const port = await freePort()
    const broken = await check(`http://127.0.0.1:${port}/mcp`, ['--only', 'tools.names'])
    expect(broken.report.checks).toMatchObject([
      { id: 'reach.tcp', outcome: 'fail' },
      { id: 'tools.names', outcome: 'skip' },
    ])
    expect(broken.status).toBe(4)
  })

  it('leave out what is named, and never make a failure pass', async () => {
    const found = await check(target.url, ['--skip', 'auth.*,tools.names', '--strict'])
    expect(found.status).toBe(0)
    expect(found.of('tools.names')).toBeUndefined()
    const port = await freePort()
    const broken = await check(`http://127.0.0.1:${port}/mcp`, ['--skip', 'reach.*,auth.*'])
    expect(broken.status).toBe(4)
    expect(broken.of('protocol.legacy')?.outcome).toBe('fail')
  })
})

describe('--baseline', () => {
  const baseline = (text: string) => writeFileSync(join(folder, 'known.txt'), text)
  const args = ['--call', 'dotted.name {}', '--baseline', 'known.txt']

  it('lets expected failures pass, even strictly', async () => {
    baseline('# the old server\ntools.call:dotted.name # until June\n\ntools.names\n')
    const found = await check(target.url, [...args, '--strict'], { cwd: folder })
    expect(found.status).toBe(0)
    expect(found.of('tools.call:dotted.name')).toMatchObject({ outcome: 'warn', expected: true })
  })

  it('fails when an entry is stale', async () => {
    baseline('tools.list\ntools.call:dotted.name\n')
    const found = await check(target.url, args, { cwd: folder })
    expect(found.status).toBe(1)
    expect(found.of('tools.list')).toMatchObject({
      outcome: 'fail',
      hint: 'Remove tools.list from known.txt.',
    })
  })

  it('takes only ids', async () => {
    baseline('tools.list\nno.such\n')
    const { status, stderr } = await run(...args)
    expect(status).toBe(2)
    expect(stderr).toContain('known.txt:2: "no.such" is no check')
  })
})

describe('--wait', () => {
  it('waits for a target that comes up', async () => {
    const port = await freePort()
    const url = `http://127.0.0.1:${port}/mcp`
    const found = check(url, ['--wait', '10'])
    await new Promise((resolve) => setTimeout(resolve, 700))
    const late = await startRecordingTarget({ port })
    expect((await found).status).toBe(0)
    await late.close()
  })

  it('gives up in the end', async () => {
    const found = await check(`http://127.0.0.1:${await freePort()}/mcp`, ['--wait', '1'])
    expect(found.status).toBe(4)
  })
})

describe('--reporter', () => {
  it('writes JUnit XML that a parser takes, beside the text', async () => {
    const { stdout, status } = await run(
      '--reporter',
      'default,junit=out.xml',
      '--call',
      'dotted.name',
    )
    expect(status).toBe(5)
    expect(stdout).toContain('tools.call:dotted.name')
    const xml = readFileSync(join(folder, 'out.xml'), 'utf8')
    expect(XMLValidator.validate(xml)).toBe(true)
    const parser = new XMLParser({
      ignoreAttributes: false,
      isArray: (name) => name === 'testcase',
    })
    const suite = parser.parse(xml).testsuites.testsuite
    expect(suite).toMatchObject({ '@_failures': '1', '@_errors': '0' })
    expect(suite.testcase).toHaveLength(Number(suite['@_tests']))
    const cases = new Map(
      suite.testcase.map((found: { '@_name': string }) => [found['@_name'], found]),
    )
    expect(cases.get('tools.call:dotted.name')).toMatchObject({
      failure: { '@_message': expect.stringContaining('sorry <&') },
    })
    expect(cases.get('reach.tls')).toHaveProperty('skipped')
  })

  it('prints JUnit alone on stdout', async () => {
    const { stdout, stderr } = await run('--reporter', 'default,junit')
    expect(XMLValidator.validate(stdout)).toBe(true)
    expect(stderr).toContain('tools.names')
  })

  it('annotates for GitHub and adds to the summary of the job', async () => {
    const summary = join(folder, 'summary.md')
    const { stdout } = await runCli(
      ['test-target', target.url, '--reporter', 'github', '--call', 'nope'],
      { env: { ...env, GITHUB_STEP_SUMMARY: summary } },
    )
    const name = target.url.replace('http://', '').replace(':', '%3A')
    expect(stdout.split('\n')[0]).toMatch(/^::warning title=tools\.names/)
    expect(stdout).toContain(`::error title=tools.call%3Anope (${name})::there is no such tool%0A`)
    expect(readFileSync(summary, 'utf8')).toContain(
      '| ❌ | tools.call:nope | there is no such tool<br>',
    )
  })

  it('prints text without colours and with words where there is no terminal', async () => {
    const { stdout } = await run('--call', 'nope')
    expect(stdout).toMatch(/^ \[ok\] {3}reach\.tcp {15}127\.0\.0\.1:\d+ is open +\d+ ms$/m)
    expect(stdout).toMatch(/^ \[fail\] tools\.call:nope/m)
    expect(stdout).toMatch(/ {10}> The tools are dotted\.name\.$/m)
    expect(stdout).toMatch(/4 passed, 1 failed, 1 warning, \d+ skipped {3}\d\.\d\d s {3}exit 5\n$/)
    expect(stdout).not.toContain('\u001b')
    const colored = await runCli(['test-target', target.url], { env: { ...env, FORCE_COLOR: '1' } })
    expect(colored.stdout).toContain('\u001b[32m[ok]')
    // the text itself keeps the colour of the terminal, be it light or dark; marks are of the basic eight
    const codes = colored.stdout
      .split('\u001b[')
      .slice(1)
      .map((part) => part.split('m', 1)[0])
    expect(['1', '2', '22', '31', '32', '33', '36', '39']).toEqual(
      expect.arrayContaining([...new Set(codes)]),
    )
  })

  it('keeps what the target says from moving the cursor', async () => {
    target.on('tools/call', () => ({
      content: [{ type: 'text', text: '\u001b[2J\u0007gone' }],
      isError: true,
    }))
    target.contents.tools.push({ name: 'a\u001b[31m\u2028b', inputSchema: { type: 'object' } })
    const { stdout } = await run('--call', 'dotted.name', '--reporter', 'default,github')
    for (const mark of ['\u001b', '\u0007', '\u2028']) expect(stdout).not.toContain(mark)
  })
})

describe('--via-stdio', () => {
  it("gives the bridge what the project's .env adds to the settings, and nothing that runs code", async () => {
    target.intercept((request, response) => {
      if (request.headers.authorization === 'Bearer static-token-55') return false
      response.writeHead(401).end()
      return true
    })
    const credential = { type: 'bearer', token: `$\{DOCS_TOKEN}` }
    const odd = { type: 'header', name: 'x-odd', value: `$\{NODE_OPTIONS:-none}` }
    const targets = {
      docs: { url: target.url, credential },
      odd: { url: target.url, credential: odd },
    }
    writeFileSync(join(folder, 'mcp-descope-proxy.config.json'), JSON.stringify({ targets }))
    writeFileSync(join(folder, 'evil.mjs'), 'process.exit(77)')
    const lines = ['DOCS_TOKEN=static-token-55', 'UNRELATED=1', 'NODE_OPTIONS=--import=./evil.mjs']
    writeFileSync(join(folder, '.env'), lines.join('\n'))
    const run = await check('docs', ['--via-stdio', '--only', 'tools.list'], { cwd: folder })
    expect(run).toMatchObject({ status: 0, stderr: '' })
    expect(target.of('tools/list')).toHaveLength(1)
    expect(run.stdout).not.toContain('static-token-55')
  })
})
