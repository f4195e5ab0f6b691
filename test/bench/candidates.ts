import { writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Issuer } from './issuer.js'
import type { Endpoint } from './load/request.js'
import { type Started, startProcess } from './process.js'

export const CANDIDATES = ['direct', 'raw', 'full', 'sdk', 'serve', 'gateway'] as const
export type CandidateName = (typeof CANDIDATES)[number]

export const TITLES: Record<CandidateName, string> = {
  direct: 'direct',
  raw: 'raw relay',
  full: 'full relay, by hand',
  sdk: 'SDK v1 relay',
  serve: 'serve',
  gateway: 'serve, as gateway',
}

export interface Workplace {
  /** Where the compiled bench is; also for logs. */
  folder: string
  /** The package's own executable. */
  bin: string
  issuer: Issuer
  targetToken: string
}

export interface Candidate {
  name: CandidateName
  endpoint: Endpoint
  process: Started
  /** The target behind it; for `direct` it is the process under test itself. */
  target: Started
  stop(): Promise<void>
}

const PREFIX = 'target_'
const READY_TIMEOUT_MS = 20_000

export async function startTarget(work: Workplace, role: 'subject' | 'other'): Promise<Started> {
  const target = startProcess(work.folder, {
    name: 'target',
    role,
    script: [`${work.folder}/target.js`],
    env: { BENCH_TARGET_TOKEN: work.targetToken },
  })
  await target.remote.ready
  return target
}

/** Starts one candidate before `target`; `direct` brings a target of its own. */
export async function startCandidate(
  work: Workplace,
  name: CandidateName,
  target: Started,
): Promise<Candidate> {
  if (name === 'direct') {
    const own = await startTarget(work, 'subject')
    const endpoint = {
      port: (await own.remote.ready) as number,
      token: work.targetToken,
      prefix: '',
    }
    return { name, endpoint, process: own, target: own, stop: own.stop }
  }
  const targetUrl = `http://127.0.0.1:${await target.remote.ready}/mcp`
  const start = name === 'serve' || name === 'gateway' ? startServe : startRelay
  const { process, endpoint } = await start(work, targetUrl, name)
  return { name, endpoint, process, target, stop: process.stop }
}

async function startRelay(work: Workplace, targetUrl: string, name: CandidateName) {
  const audience = 'http://localhost/mcp'
  const process = startProcess(work.folder, {
    name,
    role: 'subject',
    script: [`${work.folder}/${name}.js`],
    env: {
      BENCH_TARGET_URL: targetUrl,
      BENCH_TARGET_TOKEN: work.targetToken,
      BENCH_JWKS_URL: work.issuer.jwksUrl,
      BENCH_ISSUER: work.issuer.issuer,
      BENCH_AUDIENCE: audience,
    },
  })
  const port = (await process.remote.ready) as number
  const checks = name === 'full'
  const token = checks ? await work.issuer.mint(audience) : work.targetToken
  return { process, endpoint: { port, token, prefix: checks ? PREFIX : '' } }
}

/** `gateway` has all that is asked or told of each caller: access, a JWT, an endpoint of the target's own. */
async function startServe(work: Workplace, targetUrl: string, name: CandidateName) {
  const port = await freePort()
  const isGateway = name === 'gateway'
  const config = `${work.folder}/gateway.json`
  if (isGateway) writeFileSync(config, JSON.stringify(gatewayConfig(work, targetUrl)))
  const process = startProcess(work.folder, {
    name,
    role: 'subject',
    commands: false,
    script: [
      ...[work.bin, 'serve', '--host', '127.0.0.1', '--port', String(port)],
      ...(isGateway ? ['--config', config] : []),
    ],
    env: {
      DESCOPE_CONFIG_URL: work.issuer.configUrl,
      SERVER_URL: `http://localhost:${port}`,
      ...(isGateway
        ? { BENCH_TARGET_TOKEN: work.targetToken }
        : { TARGET_MCP_SERVER_URL: targetUrl, TARGET_TOKEN: work.targetToken }),
      SESSION_SECRET: 'only-for-the-benchmark-0123456789abcdef',
      // one caller has all the streams here
      MCP_DESCOPE_LIMITS_STREAMS_PER_CALLER: '0',
    },
  })
  await untilReady(port, process)
  const path = isGateway ? '/target/mcp' : '/mcp'
  const token = await work.issuer.mint(`http://localhost:${port}${path}`)
  return { process, endpoint: { port, path, token, prefix: isGateway ? '' : PREFIX } }
}

function gatewayConfig({ issuer }: Workplace, url: string) {
  return {
    descope: { configUrl: issuer.configUrl },
    server: { endpoints: 'each' },
    targets: {
      target: {
        url,
        // biome-ignore lint/suspicious/noTemplateCurlyInString: this is how users write a reference
        credential: { type: 'bearer', token: '${BENCH_TARGET_TOKEN}' },
        access: { scopes: ['mcp:use'] },
        tools: { scopes: { '*': ['mcp:use'] } },
        identity: { method: 'jwt' },
      },
    },
  }
}

async function untilReady(port: number, process: Started): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS
  while (Date.now() < deadline && process.alive()) {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined)
    if (answer?.ok) return
    await sleep(50)
  }
  throw new Error(`serve did not become ready:\n${process.log()}`)
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
