import { request as httpRequest } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { dirname } from 'node:path'
import tls from 'node:tls'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createNetwork } from '../../../src/upstream/http/network.js'
import { readAuthorities } from '../../../src/usecases/network.js'
import { CLIENT, createHome, startBridge, textOf } from '../../helpers/bridge.js'
import { type Certificates, createCertificates } from '../../helpers/certificates.js'
import { type HttpProxy, startHttpProxy } from '../../helpers/http-proxy.js'
import { clock } from '../../helpers/stack.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

let certificates: Certificates

let target: RecordingTarget

const closing: (() => unknown)[] = []

beforeAll(async () => {
  certificates = await createCertificates()
})

beforeEach(async () => {
  target = await startRecordingTarget({ sessions: 'required' })
})

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
  await target.close()
})

/** Puts TLS in front of the target; resolves with the port. */
async function startTls(cert: string): Promise<number> {
  const server = createTlsServer({ key: certificates.key, cert }, (incoming, response) => {
    const { method, headers, url: path } = incoming
    const outgoing = httpRequest({ port: target.port, path, method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    incoming.pipe(outgoing)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

async function proxy(password?: string): Promise<HttpProxy> {
  const started = await startHttpProxy(password)
  closing.push(started.close)
  return started
}

function bridgeTo(url: string, env: Record<string, string> = {}, args: string[] = []) {
  const bridge = startBridge(url, { args, env: { MCP_DESCOPE_HOME: createHome(), ...env } })
  closing.push(() => bridge.child.kill('SIGKILL'))
  return bridge
}

describe('the certificates that the bridge trusts', () => {
  it.each(['--ca', 'SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS'])(
    '[bridge-authorities] come from %s too',
    async (from) => {
      const port = await startTls(certificates.cert)
      const isFlag = from.startsWith('--')
      const bridge = bridgeTo(
        `https://localhost:${port}/mcp`,
        isFlag ? {} : { [from]: certificates.caFile },
        isFlag ? ['--ca', certificates.caFile] : [],
      )
      const answer = await bridge.handshake()
      expect(answer['result']).toMatchObject({ serverInfo: target.contents.serverInfo })
      expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
      await bridge.end()
    },
  )

  it('[bridge-authorities] come from this machine with --use-system-ca, where Node can read them', async () => {
    const url = `https://localhost:${await startTls(certificates.cert)}/mcp`
    // the folder counts as this machine's on Linux only
    const env = { SSL_CERT_DIR: dirname(certificates.caFile) }
    const bridge = bridgeTo(url, env, ['--use-system-ca'])
    if ('getCACertificates' in tls) {
      const answer = await bridge.handshake()
      const found = { serverInfo: target.contents.serverInfo }
      if (process.platform === 'linux') expect(answer['result']).toMatchObject(found)
      expect((await bridge.end()).status).toBe(0)
      return
    }
    expect(await bridge.request('initialize', CLIENT)).toMatchObject({
      error: {
        message: expect.stringMatching(
          /^--use-system-ca needs Node.js 22.15 or newer, and this is \S+\. .*--ca <file>.*NODE_EXTRA_CA_CERTS/,
        ),
      },
    })
    expect((await bridge.ended).status).toBe(2)
    expect(target.requests).toEqual([])
  })

  it('[bridge-authorities] of this machine stand beside those of files', () => {
    const runtime = { env: {}, cwd: '/', nodeVersion: '24.0.0' }
    const read = (ca: string[], useSystemCa: boolean) =>
      readAuthorities({ ca, useSystemCa }, runtime, () => ['of the system'])
    expect(read([], true)).toEqual(['of the system'])
    expect(read([certificates.caFile], true)).toEqual([certificates.ca, 'of the system'])
    expect(read([certificates.caFile], false)).toEqual([certificates.ca])
    expect(read([], false)).toEqual([])
  })

  it.each([
    {
      what: 'cert',
      says: /\((UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT_LOCALLY)\)\. .*--ca/,
    },
    { what: 'selfSigned', says: /self-signed \(DEPTH_ZERO_SELF_SIGNED_CERT\)\. .*--ca/ },
  ] as const)(
    '[bridge-network-causes] are named when "$what" is none of them',
    async ({ what, says }) => {
      const bridge = bridgeTo(`https://localhost:${await startTls(certificates[what])}/mcp`)
      await bridge.handshake()
      const call = await bridge.call('echo')
      expect(call['error']).toMatchObject({ message: expect.stringMatching(says) })
      await bridge.end()
    },
  )

  it.each([
    { what: 'foreign', says: /another host name \(ERR_TLS_CERT_ALTNAME_INVALID\)\. .*openssl/ },
    { what: 'expired', says: /has expired \(CERT_HAS_EXPIRED\)\. .*date/ },
  ] as const)(
    '[bridge-network-causes] do not excuse one that is "$what"',
    async ({ what, says }) => {
      const port = await startTls(certificates[what])
      const bridge = bridgeTo(`https://localhost:${port}/mcp`, {}, ['--ca', certificates.caFile])
      await bridge.handshake()
      const call = await bridge.call('echo')
      expect(call['error']).toMatchObject({ message: expect.stringMatching(says) })
      await bridge.end()
    },
  )
})

describe('the HTTP proxy of the environment', () => {
  it('[bridge-proxy] is used for http and https, with its password', async () => {
    const through = await proxy('user:pass word')
    const url = `http://user:pass%20word@${through.url.slice(7)}`
    const plain = bridgeTo(`http://target.test:${target.port}/mcp`, { HTTP_PROXY: url }, [
      '--allow-http',
    ])
    await plain.handshake()
    expect(textOf(await plain.call('echo', { n: 1 }))).toContain('"n":1')
    expect(through.seen[0]).toBe(`POST http://target.test:${target.port}/mcp`)
    await plain.end()

    const port = await startTls(certificates.cert)
    const secure = bridgeTo(`https://target.test:${port}/mcp`, { ALL_PROXY: url }, [
      '--ca',
      certificates.caFile,
    ])
    await secure.handshake()
    expect(textOf(await secure.call('echo', { n: 2 }))).toContain('"n":2')
    expect(through.seen).toContain(`CONNECT target.test:${port}`)
    await secure.end()
    expect(`${plain.stderr()}${secure.stderr()}`).not.toContain('pass')
  })

  it('[bridge-proxy] is never used for loopback, nor for what NO_PROXY names', async () => {
    const through = await proxy()
    const bridge = bridgeTo(target.url, { HTTP_PROXY: through.url, HTTPS_PROXY: through.url })
    await bridge.handshake()
    await bridge.end()
    expect(through.seen).toEqual([])
  })

  it.each(['http', 'https'])(
    '[bridge-network-causes] is named when it refuses us, for %s',
    async (scheme) => {
      const through = await proxy('user:password')
      const env = { ALL_PROXY: through.url, MCP_DESCOPE_ALLOW_HTTP: 'true' }
      const bridge = bridgeTo(`${scheme}://target.test:${target.port}/mcp`, env)
      await bridge.handshake()
      const call = await bridge.call('echo')
      expect(call['error']).toMatchObject({
        message: expect.stringMatching(/407 \(ERR_PROXY_AUTH\)\. Set both/),
      })
      await bridge.end()
    },
  )

  it('[bridge-proxy] is used for the calls to the authorization server too', async () => {
    const through = await proxy()
    const port = await startTls(certificates.cert)
    const network = createNetwork({
      runtime: { clock, env: { HTTPS_PROXY: through.url }, fetch: globalThis.fetch },
      ca: [certificates.ca],
      isRetrySafe: undefined,
    })
    const response = await network.fetch(`https://issuer.test:${port}/mcp`, {
      method: 'POST',
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: CLIENT }),
    })
    expect(await response.json()).toMatchObject({ id: 1 })
    expect(through.seen).toEqual([`CONNECT issuer.test:${port}`])
  })
})
