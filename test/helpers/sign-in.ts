import { chmodSync, mkdtempSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { refreshRecord } from '../../src/auth/oauth/refresh.js'
import { createClientStore, createTokenStore } from '../../src/auth/tokens/store/file-store.js'
import { createStoredTokenSource } from '../../src/auth/tokens/stored-token-source.js'
import { bindingOf, type SignInTarget } from '../../src/auth/tokens/token-store.js'
import type { SignInOptions } from '../../src/sign-in/flow.js'
import { createSignIn } from '../../src/sign-in/sign-in.js'
import { createClock } from '../../src/util/async.js'
import type { Clock, System } from '../../src/util/runtime.js'
import { createSystem } from '../../src/util/system.js'

/** A folder that is private and of its own. */
export function privateFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sign-in-'))
  chmodSync(folder, 0o700)
  return folder
}

/** A port that nothing listens on right now. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

export interface Resource {
  readonly url: URL
  readonly origin: string
  /** Tokens that are refused although they look right. */
  readonly refused: Set<string>
  /** Bearer tokens that were accepted, in order. */
  readonly accepted: string[]
  /** Changes the metadata; `undefined` leaves it out. */
  metadata: Record<string, unknown> | undefined
  challenge: string | undefined
  close(): Promise<void>
}

/** Starts a server that is protected as MCP says: 401, then its metadata. */
export async function startResource(issuer: string, path = '/mcp'): Promise<Resource> {
  const server = createServer((request, response) => {
    const token = bearerOf(request)
    if (request.url?.startsWith('/.well-known/oauth-protected-resource')) {
      const { metadata } = resource
      if (metadata === undefined) response.writeHead(404).end()
      else response.setHeader('content-type', 'application/json').end(JSON.stringify(metadata))
    } else if (token === undefined || resource.refused.has(token)) {
      const challenge =
        resource.challenge ??
        `Bearer resource_metadata="${resource.origin}/.well-known/oauth-protected-resource${path}"`
      response.writeHead(401, { 'www-authenticate': challenge }).end()
    } else {
      resource.accepted.push(token)
      response.writeHead(200).end('{}')
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const resource: Resource = {
    url: new URL(path, origin),
    origin,
    refused: new Set(),
    accepted: [],
    metadata: { resource: `${origin}${path}`, authorization_servers: [issuer] },
    challenge: undefined,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return resource
}

function bearerOf({ headers }: IncomingMessage): string | undefined {
  return /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1]
}

export interface DeskOptions {
  folder?: string
  target: Partial<SignInTarget> & Pick<SignInTarget, 'grant'>
  options?: Partial<SignInOptions>
  env?: Record<string, string | undefined>
  clock?: Clock
  fetch?: typeof globalThis.fetch
  /** What a launched browser does; by default it follows the redirects, as a user who is signed in. */
  browse?: (url: string) => Promise<unknown>
  system?: Partial<System>
}

/** One user's machine: everything of a sign-in on a folder of its own, with a scripted browser. */
export function createDesk(given: DeskOptions) {
  const folder = given.folder ?? privateFolder()
  const clock = given.clock ?? createClock()
  const tabs: string[] = []
  const visits: Promise<unknown>[] = []
  const browse = given.browse ?? ((url: string) => fetch(url))
  const system: System = {
    ...createSystem(process, clock),
    async launch(_command, args) {
      const url = args.at(-1) ?? ''
      tabs.push(url)
      visits.push(browse(url).catch((error: unknown) => error))
      return true
    },
    ...given.system,
  }
  const runtime = {
    clock,
    system,
    fetch: given.fetch ?? globalThis.fetch,
    env: given.env ?? { DISPLAY: ':0' },
    platform: 'linux' as const,
  }
  const storeDeps = { clock, system, platform: 'linux' as const, folder, choice: 'file' as const }
  const store = createTokenStore(storeDeps)
  const clients = createClientStore(storeDeps)
  const target: SignInTarget = {
    name: 'main',
    profile: 'default',
    client: {},
    scope: undefined,
    ...given.target,
  }
  const options: SignInOptions = {
    method: 'auto',
    openBrowser: true,
    callbackHost: '127.0.0.1',
    callbackPort: undefined,
    timeoutMs: 20_000,
    deviceRenewals: 0,
    returnTo: () => undefined,
    ...given.options,
  }
  const signIn = createSignIn({ runtime, target, store, clients, folder, options })
  const binding = bindingOf(target)
  const source = createStoredTokenSource({
    clock,
    store,
    binding,
    refresh: (record) => refreshRecord({ ...runtime, configured: target.client, clients }, record),
  })
  return { folder, clock, runtime, store, clients, target, signIn, source, binding, tabs, visits }
}
