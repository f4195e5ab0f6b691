import type { ServerResponse } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startBridge } from '../helpers/bridge.js'
import { type CliResult, runCli, startCli } from '../helpers/cli.js'
import { createFolder } from '../helpers/folder.js'
import { type Listening, listen } from '../helpers/targets/listen.js'

const DEPTH = 200_000
const DEEP = `{"a":${'['.repeat(DEPTH)}${']'.repeat(DEPTH)}}`

let server: Listening
/** What one path answers; everything else is 401 with a link to our metadata. */
let answers: Record<string, string> = {}
beforeAll(async () => {
  server = await listen((request, response) => {
    const path = (request.url ?? '').split('?')[0] ?? ''
    const body = answers[path]
    if (body === undefined) return refuse(response)
    response.writeHead(200, { 'content-type': 'application/json' }).end(body)
  })
})
afterAll(() => server.close())

function refuse(response: ServerResponse): void {
  const url = `${server.origin}/.well-known/oauth-protected-resource/mcp`
  response.writeHead(401, { 'www-authenticate': `Bearer resource_metadata="${url}"` }).end()
}

const resource = () =>
  `{"resource":"${server.origin}/mcp","authorization_servers":["${server.origin}"],"x":${DEEP}}`
const PLACES: Record<string, () => Record<string, string>> = {
  'the metadata of a resource': () => ({ '/.well-known/oauth-protected-resource/mcp': DEEP }),
  'the metadata of an authorization server': () => ({
    '/.well-known/oauth-protected-resource/mcp': resource(),
    '/.well-known/oauth-authorization-server': DEEP,
    '/.well-known/openid-configuration': DEEP,
  }),
  'what a target answers': () => ({ '/mcp': DEEP }),
}

const inOrder = ({ status, stderr, stdout }: CliResult) => {
  expect(`${stderr}${stdout}`).not.toMatch(/RangeError|Maximum call stack|node:internal/)
  expect(status).toBeGreaterThanOrEqual(1)
}
const options = () => ({ env: { MCP_DESCOPE_HOME: createFolder() }, cwd: createFolder() })

describe.each(Object.keys(PLACES))('a document of a depth that nobody reads as %s', (place) => {
  it.each([
    ['login', ['login', '--no-browser']],
    ['test-target', ['test-target']],
    ['inspect', ['inspect']],
  ])('leaves %s with a sentence', async (_name, args) => {
    answers = PLACES[place]?.() ?? {}
    inOrder(await runCli([...args, `${server.origin}/mcp`], options()))
  })

  it('leaves the bridge with an answer for its host', async () => {
    answers = PLACES[place]?.() ?? {}
    const bridge = startBridge(`${server.origin}/mcp`, { ...options(), args: ['--no-browser'] })
    const answer = await bridge.request('initialize', {
      protocolVersion: '2025-06-18',
      capabilities: {},
      clientInfo: { name: 'host', version: '1' },
    })
    expect(answer['result'] ?? answer['error']).toBeDefined()
    await bridge.request('tools/list')
    const { stderr } = await bridge.end()
    expect(stderr).not.toMatch(/RangeError|Maximum call stack|nothing caught/)
  })
})

it('Discovery that is too deep to be read keeps serve from starting, with a sentence', async () => {
  const path =
    '/v1/apps/agentic/P2abcdefghijklmnopqrstuvwxyz12/MS1/.well-known/openid-configuration'
  answers = { [path]: DEEP }
  const args = ['serve', '--port', '0', '--target', `${server.origin}/mcp`]
  const env = { DESCOPE_CONFIG_URL: `${server.origin}${path}` }
  const serve = startCli(args, { env, cwd: createFolder() })
  const { stderr, status } = await serve.ended
  expect(stderr).not.toMatch(/RangeError|nothing caught/)
  expect(status).toBe(2)
})
