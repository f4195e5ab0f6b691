import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { stateMatches } from '../auth/oauth/authorization.js'
import { ProxyError } from '../util/errors.js'
import { parseRequestTarget } from '../util/url-text.js'
import { type CallbackPage, failurePage, PAGE_HEADERS, renderPage } from './callback-page.js'
import { type CallbackHost, redirectUriOf } from './options.js'

/** A bound port that waits for the browser to come back. */
export interface CallbackListener {
  readonly port: number
  readonly redirectUri: string
  /**
   * Starts to accept one response with this `state`; all other requests are refused. The page is sent
   * when `handle` has resolved.
   */
  expect(state: string, handle: (response: URLSearchParams) => Promise<CallbackPage>): void
  /** Frees the port after the page of a response in progress was sent. */
  close(): Promise<void>
  /** Frees the port at once. */
  abort(): void
}

/**
 * Binds the first free port, on the addresses of the host only.
 *
 * @param holderOf Returns who uses a port, for the error message.
 * @throws {ProxyError} `LISTEN_FAILED` when all are taken, or this machine has no such address.
 */
export async function listenForCallback(
  ports: readonly number[],
  host: CallbackHost = '127.0.0.1',
  holderOf?: (port: number) => Promise<string | undefined>,
): Promise<CallbackListener> {
  for (const port of ports) {
    const servers = await bindAll(port, host)
    if (servers !== undefined) return createListener(servers, host)
  }
  const tried = ports
    .filter((port) => port > 0)
    .map(async (port) => {
      const holder = await holderOf?.(port).catch(() => undefined)
      return holder === undefined ? String(port) : `${port}: ${holder}`
    })
  const list = (await Promise.all(tried)).join('; ')
  throw new ProxyError('LISTEN_FAILED', `No callback port is free (tried ${list})`, {
    hint: 'Stop the program that uses the port, or choose another one with `--callback-port`.',
  })
}

/** Browsers resolve `localhost` to either address, so both must be bound. */
const ADDRESSES: Readonly<Record<CallbackHost, readonly string[]>> = {
  '127.0.0.1': ['127.0.0.1'],
  localhost: ['127.0.0.1', '::1'],
  '::1': ['::1'],
}

/** Binds a port on every address; `undefined` when somebody else has it on one of them. */
async function bindAll(port: number, host: CallbackHost): Promise<Server[] | undefined> {
  const servers: Server[] = []
  for (const address of ADDRESSES[host]) {
    const server = createServer()
    const outcome = await bind(server, servers[0] ? portOf(servers[0]) : port, address)
    if (outcome === 'bound') servers.push(server)
    if (outcome === 'taken') {
      for (const bound of servers) bound.close()
      return undefined
    }
  }
  if (servers.length > 0) return servers
  throw new ProxyError('LISTEN_FAILED', `This machine has no address ${host}`, {
    hint: 'Use `--callback-host 127.0.0.1`.',
  })
}

function bind(server: Server, port: number, host: string): Promise<'bound' | 'taken' | 'absent'> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve('taken')
      else if (error.code === 'EADDRNOTAVAIL' || error.code === 'EAFNOSUPPORT') resolve('absent')
      else reject(error)
    })
    server.listen({ port, host, exclusive: true }, () => resolve('bound'))
  })
}

const portOf = (server: Server) => (server.address() as AddressInfo).port

function createListener(servers: readonly Server[], host: CallbackHost): CallbackListener {
  const port = portOf(servers[0] as Server)
  let expected: { state: string; handle: (response: URLSearchParams) => Promise<CallbackPage> }
  let answered = false
  let delivery = Promise.resolve()
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    const target = parseRequestTarget(request.url)
    const problem = problemOf(request, target?.path, port)
    const query = target?.query ?? new URLSearchParams()
    const refuse = (status: number, text: string, hint?: string) =>
      send(response, { ...failurePage(text, hint), status })
    if (problem !== undefined) {
      refuse(problem.status, problem.text)
    } else if (
      expected === undefined ||
      !stateMatches(expected.state, onlyOne(query.getAll('state')))
    ) {
      refuse(
        400,
        'This sign-in link has expired or belongs to another attempt.',
        'Close this tab and use the link that was shown last, or run `mcp-descope-proxy login` in a terminal.',
      )
    } else if (answered) {
      refuse(
        409,
        'This sign-in is already finished.',
        'Close this tab: the first one shows the result. To sign in again, run `mcp-descope-proxy login --force` in a terminal.',
      )
    } else {
      answered = true
      delivery = new Promise((resolve) => response.once('close', resolve))
      expected.handle(query).then(
        (page) => send(response, page),
        () => refuse(500, 'The sign-in failed.'),
      )
    }
  }
  for (const server of servers) {
    server.headersTimeout = 10_000
    server.requestTimeout = 10_000
    server.maxHeadersCount = 100
    server.on('request', onRequest)
  }
  return {
    port,
    redirectUri: redirectUriOf(host, port),
    expect(state, handle) {
      expected = { state, handle }
      answered = false
    },
    async close() {
      for (const server of servers) server.close()
      await delivery
      for (const server of servers) server.closeAllConnections() // browsers open sockets ahead and keep them (keep-alive)
    },
    abort() {
      for (const server of servers) {
        server.close()
        server.closeAllConnections()
      }
    },
  }
}

function problemOf(
  { method, headers }: IncomingMessage,
  path: string | undefined,
  port: number,
): { status: number; text: string } | undefined {
  // a foreign page may make its host name resolve to this machine (DNS rebinding)
  const hosts = [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`]
  if (!hosts.includes(headers.host ?? '')) return { status: 421, text: 'Unknown host name.' }
  if (path === undefined) return { status: 400, text: 'The request is invalid.' }
  if (path !== '/callback') return { status: 404, text: 'Page not found.' }
  if (method !== 'GET') return { status: 405, text: 'Only GET is allowed.' }
  return undefined
}

function onlyOne(values: readonly string[]): string | null {
  return values.length === 1 ? (values[0] ?? null) : null
}

function send(response: ServerResponse, page: CallbackPage): void {
  response.writeHead(page.status, PAGE_HEADERS).end(renderPage(page))
}
