import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createHome } from '../../helpers/bridge.js'
import { runCli, startCli } from '../../helpers/cli.js'
import { createFolder } from '../../helpers/folder.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const SECRET = 'wJalrXUtnFEMI-K7MDENG'
const RC = '.mcp-descope-proxyrc.json'
const AWS = '$' + '{AWS_SECRET_ACCESS_KEY}'
const ENV = { AWS_SECRET_ACCESS_KEY: SECRET }

let target: RecordingTarget
/** All that arrived, headers and bodies. */
const arrived: string[] = []
/** Asks for a token. */
let guarded = false

beforeAll(async () => {
  target = await startRecordingTarget()
  target.intercept((request, response) => {
    arrived.push(`${request.url} ${JSON.stringify(request.headers)}`)
    if (!guarded || request.headers.authorization) return false
    response.writeHead(401, { 'www-authenticate': 'Bearer' }).end()
    return true
  })
})
afterAll(() => target.close())
afterEach(() => {
  arrived.length = 0
  guarded = false
})

const bearer = (url: string) => ({
  targets: { docs: { url, credential: { type: 'bearer', token: AWS } } },
})

function newHome(): string {
  const home = createHome()
  mkdirSync(home, { mode: 0o700 })
  return home
}

interface Clone {
  files: Record<string, unknown>
  env?: Record<string, string>
  args?: readonly string[]
  home?: string
}

function run({ files, env = ENV, args = ['test-target'], home = createHome() }: Clone) {
  const cwd = createFolder(files)
  return runCli([...args, '--timeout', '3'], {
    cwd,
    env: { MCP_DESCOPE_HOME: home, ...env },
    timeoutMs: 30_000,
  })
}

describe('in a cloned repository, what is mine goes nowhere that only its files name', () => {
  const cases: readonly [name: string, clone: (url: string) => Clone, what: string][] = [
    [
      'a variable as bearer token in a configuration file',
      (url) => ({ files: { [RC]: bearer(url) } }),
      'AWS_SECRET_ACCESS_KEY',
    ],
    [
      'the same by inspect of one target',
      (url) => ({ files: { [RC]: bearer(url) }, args: ['inspect', 'docs'] }),
      'AWS_SECRET_ACCESS_KEY',
    ],
    [
      'the same by inspect of all',
      (url) => ({ files: { [RC]: bearer(url) }, args: ['inspect'] }),
      'AWS_SECRET_ACCESS_KEY',
    ],
    [
      'the same through our own bridge',
      (url) => ({ files: { [RC]: bearer(url) }, args: ['test-target', '--via-stdio'] }),
      'AWS_SECRET_ACCESS_KEY',
    ],
    [
      'the same from the property of a package.json',
      (url) => ({ files: { 'package.json': { 'mcp-descope-proxy': bearer(url) } } }),
      'AWS_SECRET_ACCESS_KEY',
    ],
    [
      'the same from a profile',
      (url) => ({
        files: { [RC]: { profiles: { x: bearer(url) } } },
        args: ['test-target', '--profile', 'x'],
      }),
      'AWS_SECRET_ACCESS_KEY',
    ],
    [
      'the same from a file that only .env names',
      (url) => ({
        files: { 'other.json': bearer(url), '.env': 'MCP_DESCOPE_CONFIG=other.json' },
      }),
      'AWS_SECRET_ACCESS_KEY',
    ],
    [
      'a variable as a header',
      (url) => ({
        files: {
          [RC]: {
            targets: {
              docs: { url, credential: { type: 'header', name: 'x-k', value: `a ${AWS}` } },
            },
          },
        },
      }),
      'AWS_SECRET_ACCESS_KEY',
    ],
    [
      'a variable in the URL itself',
      (url) => ({ files: { [RC]: { targets: { docs: { url: `${url}/${AWS}` } } } } }),
      'AWS_SECRET_ACCESS_KEY',
    ],
    [
      'a file of mine as token',
      (url) => {
        const secret = join(createFolder({ token: SECRET }), 'token')
        const credential = { type: 'bearer', token: `@${secret}` }
        return { files: { [RC]: { targets: { docs: { url, credential } } } } }
      },
      '@/',
    ],
    [
      'a client secret, by the token URL',
      (url) => {
        const credential = {
          ...{ type: 'client-credentials', tokenUrl: url, clientId: 'me', clientSecret: AWS },
        }
        return {
          files: { [RC]: { targets: { target: { credential } } } },
          env: { ...ENV, TARGET_MCP_SERVER_URL: url },
        }
      },
      'AWS_SECRET_ACCESS_KEY',
    ],
    [
      'TARGET_TOKEN, where .env names the target',
      (url) => ({
        files: { '.env': `TARGET_MCP_SERVER_URL=${url}` },
        env: { TARGET_TOKEN: SECRET },
      }),
      'TARGET_TOKEN',
    ],
    [
      'TARGET_TOKEN, where a file names the URL of that target',
      (url) => ({
        files: { [RC]: { targets: { target: { url } } } },
        env: { TARGET_TOKEN: SECRET },
      }),
      'TARGET_TOKEN',
    ],
    [
      'a token for everything',
      (url) => ({
        files: { [RC]: { targets: { docs: { url } } } },
        env: { MCP_DESCOPE_TOKEN: SECRET },
      }),
      'MCP_DESCOPE_TOKEN',
    ],
    [
      'the secret of my client',
      (url) => ({
        files: { [RC]: { targets: { docs: { url } } } },
        env: { MCP_DESCOPE_CLIENT_ID: 'me', MCP_DESCOPE_CLIENT_SECRET: SECRET },
      }),
      'MCP_DESCOPE_CLIENT_SECRET',
    ],
    [
      'the secret of my client, where the discovery URL is theirs',
      (url) => ({
        files: {
          '.env': `DESCOPE_CONFIG_URL=${new URL(url).origin}/v1/apps/agentic/P2abcdefghijklmnopqrstuvwxyz0/MS1`,
        },
        env: {
          ...{ TARGET_MCP_SERVER_URL: url },
          ...{ MCP_DESCOPE_CLIENT_ID: 'me', MCP_DESCOPE_CLIENT_SECRET: SECRET },
        },
        args: ['inspect'],
      }),
      'MCP_DESCOPE_CLIENT_SECRET',
    ],
    [
      'a header of the command line that holds a variable',
      (url) => ({
        files: { [RC]: { targets: { docs: { url } } } },
        args: ['test-target', 'docs', '--header', `X-Trace: ${AWS}`],
      }),
      'AWS_SECRET_ACCESS_KEY',
    ],
    [
      "a credential of my own file, where .env changes the target's URL",
      (url) => {
        const home = newHome()
        const credential = { type: 'bearer', token: AWS }
        const own = { targets: { target: { url: 'https://mine.example.com/mcp', credential } } }
        writeFileSync(join(home, 'config.json'), JSON.stringify(own))
        return { files: { '.env': `TARGET_MCP_SERVER_URL=${url}` }, home }
      },
      'AWS_SECRET_ACCESS_KEY',
    ],
    [
      'a credential of my own file, where .env fills a variable in its URL',
      (url) => {
        const home = newHome()
        const credential = { type: 'bearer', token: AWS }
        const own = { targets: { docs: { url: '$' + '{MCP_BASE}/mcp', credential } } }
        writeFileSync(join(home, 'config.json'), JSON.stringify(own))
        return { files: { '.env': `MCP_BASE=${new URL(url).origin}` }, home }
      },
      'AWS_SECRET_ACCESS_KEY',
    ],
  ]

  it.each(cases)('%s', async (_name, clone, what) => {
    const found = await run(clone(target.url))
    expect(found.status).toBe(2)
    expect(found.stderr).toContain(what)
    expect(found.stderr).toMatch(/named by (file \.\/\S+|\.env \w+)/)
    expect(found.stderr).toContain('--trust')
    expect(found.stdout + found.stderr + arrived.join()).not.toContain(SECRET)
    expect(arrived).toEqual([])
  })

  it('a sign-in that is kept', async () => {
    const home = createHome()
    const given = { cwd: createFolder(), env: { MCP_DESCOPE_HOME: home }, stdin: SECRET }
    const login = await runCli(['login', target.url, '--with-token', '--store', 'file'], given)
    expect(login.status).toBe(0)
    const files = { [RC]: { targets: { docs: { url: target.url } } } }
    const args = ['test-target', '--store', 'file']
    arrived.length = 0
    const refused = await run({ files, env: {}, args, home })
    expect(refused.status).toBe(2)
    expect(refused.stderr).toContain('the stored sign-in')
    expect(arrived).toEqual([])
    guarded = true
    await run({ files, env: {}, args: [...args, '--trust'], home })
    expect(arrived.join()).toContain(SECRET)
  })
})

describe('what is mine is sent', () => {
  const sent: readonly [name: string, clone: (url: string) => Clone][] = [
    ['with --trust', (url) => ({ files: { [RC]: bearer(url) }, args: ['test-target', '--trust'] })],
    [
      'by inspect of all with --trust',
      (url) => ({ files: { [RC]: bearer(url) }, args: ['inspect', '--trust'] }),
    ],
    [
      'with --config',
      (url) => ({ files: { [RC]: bearer(url) }, args: ['test-target', '--config', RC] }),
    ],
    [
      'with MCP_DESCOPE_CONFIG in the environment',
      (url) => ({ files: { [RC]: bearer(url) }, env: { ...ENV, MCP_DESCOPE_CONFIG: RC } }),
    ],
    [
      'to a URL of the environment, although the credential is in the file',
      (url) => ({
        files: { [RC]: { targets: { target: { credential: { type: 'bearer', token: AWS } } } } },
        env: { ...ENV, TARGET_MCP_SERVER_URL: url },
      }),
    ],
    [
      'to a URL that is a variable of the environment and nothing else',
      (url) => ({ files: { [RC]: bearer('$' + '{DOCS_URL}') }, env: { ...ENV, DOCS_URL: url } }),
    ],
    [
      "to a URL of the user's own file",
      (url) => {
        const home = newHome()
        writeFileSync(join(home, 'config.json'), JSON.stringify(bearer(url)))
        return { files: {}, home }
      },
    ],
    [
      'to a URL of the command line',
      (url) => ({ files: {}, env: { TARGET_TOKEN: SECRET }, args: ['test-target', url] }),
    ],
  ]

  it.each(sent)('%s', async (_name, clone) => {
    const found = await run(clone(target.url))
    expect(found.stderr).not.toContain('--trust')
    expect(arrived.join()).toContain(SECRET)
  })
})

describe('nobody is asked', () => {
  const open: readonly [name: string, clone: (url: string) => Clone][] = [
    ['where no secret is sent', (url) => ({ files: { [RC]: { targets: { docs: { url } } } } })],
    [
      "where the secret is the project's own",
      (url) => ({
        files: { [RC]: bearer(url), '.env': 'AWS_SECRET_ACCESS_KEY=of-the-project' },
        env: {},
      }),
    ],
    [
      'where a variable has a default and is not set',
      (url) => {
        const token = '$' + '{DOCS_TOKEN:-public-demo-token}'
        const credential = { type: 'bearer', token }
        return { files: { [RC]: { targets: { docs: { url, credential } } } } }
      },
    ],
    [
      'where a header of the command line is no secret',
      (url) => ({
        files: { [RC]: { targets: { docs: { url } } } },
        args: ['test-target', '--header', 'X-Tenant: acme'],
      }),
    ],
  ]

  it.each(open)('%s', async (_name, clone) => {
    const found = await run(clone(target.url))
    expect(found.stderr).toBe('')
    expect(arrived.length).toBeGreaterThan(0)
  })

  it('by serve, which is started in its own folder', async () => {
    const files = { [RC]: { ...bearer(target.url), server: { insecureNoAuth: true, port: 0 } } }
    const env = { MCP_DESCOPE_HOME: createHome(), ...ENV }
    const serve = startCli(['serve'], { cwd: createFolder(files), env })
    const [, url = ''] = await serve.waitFor('stderr', /(http:\S+\/mcp)/)
    const body = '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}'
    const type = { 'content-type': 'application/json' }
    const headers = { ...type, accept: 'application/json, text/event-stream' }
    await fetch(url, { method: 'POST', headers, body }).then((answer) => answer.text())
    expect(arrived.join()).toContain(SECRET)
    serve.child.kill('SIGTERM')
    expect((await serve.ended).status).toBe(0)
  })
})

it.each([
  [['inspect']],
  [['inspect', 'evil']],
  [['test-target']],
  [['test-target', 'evil', '--via-stdio', '--trust']],
])('%j starts no program that a file of the folder names', async (args) => {
  const mark = join(createFolder(), 'mark')
  const script = `require('fs').writeFileSync(${JSON.stringify(mark)}, '')`
  const targets = { evil: { command: [process.execPath, '-e', script] } }
  const found = await run({ files: { [RC]: { targets } }, args })
  expect(found.stdout + found.stderr).toMatch(/is a program|a program on stdio/)
  expect(existsSync(mark)).toBe(false)
})
