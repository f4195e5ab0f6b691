import type { RequestId } from '../mcp/jsonrpc.js'
import { mediaTypeOf, STREAM_TYPE } from '../mcp/media-type.js'
import { type JsonObject, ownMember } from '../util/json.js'
import type { Clock } from '../util/runtime.js'
import { AnswerReader } from './answer-reader.js'
import type { ResponseHead, Upstream, UpstreamController, UpstreamRequest } from './upstream.js'
import { codedError, describeNetworkError, type NetworkFailure } from './upstream-error.js'

/** An HTTP answer that was read as far as it matters. */
export interface HttpAnswer {
  readonly status: number
  /** @param name In lower case. */
  header(name: string): string | undefined
  /** The body, or its beginning; '' of a stream. */
  readonly text: string
  /** The JSON-RPC response to the request, if one came. */
  readonly message: JsonObject | undefined
}

export type ReadResult =
  | { readonly kind: 'answer'; readonly answer: HttpAnswer }
  | { readonly kind: 'failed'; readonly failure: NetworkFailure }

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
    let headers: ResponseHead = {}
    const finish = (result: ReadResult) => {
      cancel()
      resolve(result)
    }
    const fail = (failure: NetworkFailure) => finish({ kind: 'failed', failure })
    const header = (name: string) => {
      const value = ownMember(headers, name)
      return Array.isArray(value) ? value.join(', ') : value
    }
    const answer = (text: string, message?: string) => {
      const parsed = message === undefined ? undefined : (JSON.parse(message) as JsonObject)
      finish({ kind: 'answer', answer: { status, header, text, message: parsed } })
    }
    const isStream = () => mediaTypeOf(headers['content-type']) === STREAM_TYPE
    const reader: AnswerReader = new AnswerReader(id, {
      started(started) {
        controller = started
      },
      head(code, fields) {
        status = code
        headers = fields
        // nothing is awaited behind the head of a notification's answer, or of a stream
        if (id !== undefined || !(isStream() || (request.method === 'POST' && code < 300))) return
        answer('')
        reader.abort(codedError('ABORTED'))
      },
      responded(text) {
        answer(isStream() ? '' : text, text)
        // a stream may stay open behind the response
        if (isStream()) controller?.abort(codedError('ABORTED'))
      },
      refused: (_status, _headers, body, error) => answer(body.toString('utf8'), error),
      endedEarly: () => answer(''),
      failed: (error) => fail(describeNetworkError(error)),
    })
    const cancel = clock.after(timeoutMs, () => {
      const what = status === 0 ? 'it did not answer' : 'its answer was not complete'
      fail({ cause: 'timeout', reason: `${what} within ${timeoutMs / 1000} s` })
      reader.abort(codedError('ABORTED'))
    })
    upstream.send({ ...request, headersTimeout: 0, bodyTimeout: 0 }, reader)
  })
}
