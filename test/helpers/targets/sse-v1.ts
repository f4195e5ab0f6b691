import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js'
import { type Listening, listen } from './listen.js'
import { createRecorder, type Recorder } from './record.js'
import { createSdkV1Server } from './sdk-v1.js'

export interface SseTarget extends Recorder, Omit<Listening, 'close'> {
  readonly url: string
  /** Open streams, by the session that their endpoint names. */
  readonly streams: ReadonlyMap<string, SSEServerTransport>
  close(): Promise<void>
}

/**
 * Starts a real server of SDK v1 that speaks HTTP+SSE, and nothing newer, to whoever has the token.
 *
 * @param newCookies What the answer to each GET sets, as a balancer in front of it would.
 */
export async function startSseTarget(
  isAllowed = (_token: string) => true,
  newCookies = (): string[] => [],
): Promise<SseTarget> {
  const recorder = createRecorder()
  const streams = new Map<string, SSEServerTransport>()
  const listening = await listen(async (incoming, response) => {
    const { method, url, message, headers } = await recorder.record(incoming, response)
    const at = new URL(url, 'http://any')
    if (!isAllowed(headers.authorization ?? '')) return void response.writeHead(401).end()
    if (method === 'GET' && at.pathname === '/sse') {
      const cookies = newCookies()
      if (cookies.length > 0) response.setHeader('set-cookie', cookies)
      const transport = new SSEServerTransport('/messages', response)
      streams.set(transport.sessionId, transport)
      response.once('close', () => streams.delete(transport.sessionId))
      await createSdkV1Server('sse-target').connect(transport)
      return
    }
    const transport = streams.get(at.searchParams.get('sessionId') ?? '')
    if (method !== 'POST' || at.pathname !== '/messages' || transport === undefined) {
      response.writeHead(at.pathname === '/sse' ? 405 : 404).end('no')
      return
    }
    await transport.handlePostMessage(incoming, response, message)
  })
  return Object.assign(Object.create(listening), recorder, {
    url: `${listening.origin}/sse`,
    streams,
  }) as SseTarget
}
