import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { stateMatches } from '../auth/oauth/authorization.js'
import { ProxyError } from '../util/errors.js'
import { type CallbackPage, failurePage, PAGE_HEADERS, renderPage } from './callback-page.js'
import { redirectUriOf } from './ports.js'

/** A bound port that waits for the browser to come back. */
export interface CallbackListener {
  readonly port: number
  readonly redirectUri: string
  /**
   * Starts to accept the one response that carries `state`. Everything else is refused and changes
   * nothing. The page is sent when `handle` has resolved.
   */
  expect(state: string, handle: (response: URLSearchParams) => Promise<CallbackPage>): void
  /** Frees the port, after the page of a response that is being handled went out. */
  close(): Promise<void>
  /** Frees the port at once. */
  abort(): void
}

/**
 * Binds the first free port, on 127.0.0.1 only.
 *
 * @throws {ProxyError} `LISTEN_FAILED` when all are taken.
 */
export async function listenForCallback(ports: readonly number[]): Promise<CallbackListener> {
  for (const port of ports) {
    const server = createServer()
    if (await bind(server, port)) return createListener(server)
  }
  throw new ProxyError('LISTEN_FAILED', `No callback port is free (tried ${ports.join(', ')})`, {
    hint: 'Stop the program that uses the port, or choose another one with `--callback-port`.',
  })
}

function bind(server: Server, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false)
      else reject(error)
    })
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => resolve(true))
  })
}

function createListener(server: Server): CallbackListener {
  const { port } = server.address() as AddressInfo
  let expected: { state: string; handle: (response: URLSearchParams) => Promise<CallbackPage> }
  let answered = false
  let delivery = Promise.resolve()
  server.headersTimeout = 10_000
  server.requestTimeout = 10_000
  server.maxHeadersCount = 100
  server.on('request', (request, response) => {
    const problem = problemOf(request, port)
    const query = new URL(request.url ?? '/', `http://127.0.0.1:${port}`).searchParams
    const states = query.getAll('state')
    if (problem !== undefined) {
      send(response, { ...failurePage(problem.text, undefined), status: problem.status })
    } else if (expected === undefined || !stateMatches(expected.state, onlyOne(states))) {
      send(
        response,
        failurePage('This is not the answer to the sign-in that is waiting.', undefined),
      )
    } else if (answered) {
      send(response, {
        ...failurePage('This sign-in was answered already.', undefined),
        status: 409,
      })
    } else {
      answered = true
      delivery = new Promise((resolve) => response.once('close', resolve))
      expected.handle(query).then(
        (page) => send(response, page),
        () => send(response, { ...failurePage('The sign-in failed.', undefined), status: 500 }),
      )
    }
  })
  return {
    port,
    redirectUri: redirectUriOf(port),
    expect(state, handle) {
      expected = { state, handle }
      answered = false
    },
    async close() {
      server.close()
      await delivery
      server.closeAllConnections() // browsers open sockets ahead and keep them (keep-alive)
    },
    abort() {
      server.close()
      server.closeAllConnections()
    },
  }
}

function problemOf(
  { method, url = '', headers }: IncomingMessage,
  port: number,
): { status: number; text: string } | undefined {
  // A page elsewhere may let its host name point here (DNS rebinding).
  const hosts = [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`]
  if (!hosts.includes(headers.host ?? '')) return { status: 421, text: 'This host is not served.' }
  if (!/^\/callback(\?|$)/.test(url)) return { status: 404, text: 'There is nothing here.' }
  if (method !== 'GET') return { status: 405, text: 'Only GET is answered.' }
  return undefined
}

function onlyOne(values: readonly string[]): string | null {
  return values.length === 1 ? (values[0] ?? null) : null
}

function send(response: ServerResponse, page: CallbackPage): void {
  response.writeHead(page.status, PAGE_HEADERS).end(renderPage(page))
}
