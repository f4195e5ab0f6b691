import { messageData, readIncoming } from '../mcp/incoming.js'
import type { RequestId } from '../mcp/jsonrpc.js'
import { type EventFields, EventSplitter } from '../mcp/sse.js'
import { type JsonObject, ownMember } from '../util/json.js'
import type { Clock } from '../util/runtime.js'
import type { Upstream, UpstreamController, UpstreamRequest } from './upstream.js'
import { codedError, describeNetworkError, type NetworkFailure } from './upstream-error.js'

/** An HTTP answer that was read as far as it matters. */
export interface HttpAnswer {
  readonly status: number
  /** @param name In lower case. */
  header(name: string): string | undefined
  /** The body, or its beginning. */
  readonly text: string
  /** The JSON-RPC response to the request, if one came. */
  readonly message: JsonObject | undefined
}

export type ReadResult =
  | { readonly kind: 'answer'; readonly answer: HttpAnswer }
  | { readonly kind: 'failed'; readonly failure: NetworkFailure }

const MAX_BYTES = 32 * 1024 * 1024

/**
 * Sends one request and reads until the response with its id is there, be it in a JSON body or on an
 * event stream. Never rejects.
 *
 * @param id Of the JSON-RPC request; `undefined` reads any answer that is no stream to its end.
 * @param timeoutMs For the whole exchange.
 */
export function readAnswer(
  { clock, upstream }: { clock: Pick<Clock, 'after'>; upstream: Upstream },
  request: Pick<UpstreamRequest, 'method' | 'headers' | 'body'>,
  id: RequestId | undefined,
  timeoutMs: number,
): Promise<ReadResult> {
  return new Promise((resolve) => {
    let controller: UpstreamController | undefined
    let status = 0
    let headers: Record<string, string | string[] | undefined> = {}
    const chunks: Buffer[] = []
    let bytes = 0
    let isOver = false
    const splitter = new EventSplitter()
    const finish = (result: ReadResult) => {
      if (isOver) return
      isOver = true
      cancel()
      resolve(result)
    }
    const fail = (failure: NetworkFailure) => finish({ kind: 'failed', failure })
    const header = (name: string) => {
      const value = ownMember(headers, name)
      return Array.isArray(value) ? value.join(', ') : value
    }
    const answer = (message: JsonObject | undefined) => {
      const text = Buffer.concat(chunks).toString('utf8')
      finish({ kind: 'answer', answer: { status, header, text, message } })
    }
    const isStream = () => /^text\/event-stream\b/i.test(header('content-type') ?? '')
    const stop = (failure: NetworkFailure) => {
      fail(failure)
      controller?.abort(codedError('ABORTED'))
    }
    const end = (message: JsonObject | undefined) => {
      answer(message)
      controller?.abort(codedError('ABORTED'))
    }
    const cancel = clock.after(timeoutMs, () => {
      const what = status === 0 ? 'it did not answer' : 'its answer was not complete'
      stop({ cause: 'timeout', reason: `${what} within ${timeoutMs / 1000} s` })
    })
    const awaited = { id, idText: () => JSON.stringify(id) }
    const responseIn = (data: string): JsonObject | undefined => {
      const response = readIncoming(data, awaited).find(({ kind }) => kind === 'response')
      return response && (JSON.parse(response.text) as JsonObject)
    }
    const take = (fields: EventFields) => {
      const data = messageData(fields)
      const message = data === undefined ? undefined : responseIn(data)
      if (message !== undefined) end(message)
    }
    upstream.send(
      { ...request, headersTimeout: 0, bodyTimeout: 0 },
      {
        onRequestStart(started) {
          controller = started
        },
        onResponseStart(_controller, code, fields) {
          status = code
          headers = fields
          // nobody waits for what comes behind the status of a notification, or on such a stream
          if (id === undefined && (isStream() || (request.method === 'POST' && code < 300))) {
            end(undefined)
          }
        },
        onResponseData(_controller, chunk) {
          if (isOver) return
          bytes += chunk.length
          if (bytes > MAX_BYTES) {
            return stop({ cause: 'invalid_answer', reason: 'its answer is larger than 32 MiB' })
          }
          chunks.push(chunk)
          if (id === undefined || !isStream()) return
          try {
            splitter.each(chunk, take)
          } catch {
            stop({ cause: 'invalid_answer', reason: 'its event stream cannot be read' })
          }
        },
        onResponseEnd() {
          if (isOver) return
          answer(isStream() ? undefined : responseIn(Buffer.concat(chunks).toString('utf8')))
        },
        onResponseError: (_controller, error) => fail(describeNetworkError(error)),
      },
    )
  })
}
