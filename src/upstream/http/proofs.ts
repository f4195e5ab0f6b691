import type { Clock } from '../../util/runtime.js'
import {
  PassingHandler,
  type ResponseHead,
  type Upstream,
  type UpstreamController,
  type UpstreamHandler,
  type UpstreamRequest,
} from '../upstream.js'

/** Signs the proof of a request whose access token is bound to a key. */
export type Prove = (request: {
  token: string
  method: string
  url: URL
  nonce: string | undefined
  now: number
}) => string

const SCHEME = 'DPoP '

const MAX_NONCE = 1_024

/**
 * Adds a proof to each request that carries a bound access token, new for each time that it is sent.
 *
 * @see [RFC 9449 §7, §9](https://www.rfc-editor.org/rfc/rfc9449#section-7) Protected Resource Access
 */
export function withProofs(
  upstream: Upstream,
  url: URL,
  clock: Pick<Clock, 'now'>,
  prove: Prove,
): Upstream {
  let nonce: string | undefined
  return {
    send(request, handler) {
      const token = boundTokenOf(request)
      if (token === undefined) return upstream.send(request, handler)
      const { method, path, headers } = request
      const place = path === undefined ? url : new URL(url.origin + path)
      const send = (to: UpstreamHandler) => {
        const proof = prove({ token, method, url: place, nonce, now: clock.now() })
        upstream.send({ ...request, headers: [...headers, 'dpop', proof] }, to)
      }
      const onNonce = (given: string) => {
        nonce = given
      }
      send(new ProvenCall(handler, send, onNonce))
    },
    close: () => upstream.close(),
  }
}

function boundTokenOf({ headers }: UpstreamRequest): string | undefined {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'authorization') continue
    const value = headers[i + 1] as string
    return value.startsWith(SCHEME) ? value.slice(SCHEME.length) : undefined
  }
  return undefined
}

/** One request, which is sent once more where the server wants a nonce of its own in the proof. */
class ProvenCall extends PassingHandler {
  readonly #send: (handler: UpstreamHandler) => void
  readonly #onNonce: (nonce: string) => void
  #controller: UpstreamController | undefined
  #isRepeated = false

  constructor(
    handler: UpstreamHandler,
    send: (handler: UpstreamHandler) => void,
    onNonce: (nonce: string) => void,
  ) {
    super(handler)
    this.#send = send
    this.#onNonce = onNonce
  }

  override onRequestStart(...args: Parameters<PassingHandler['onRequestStart']>): void {
    this.#controller = args[0]
    super.onRequestStart(...args)
  }

  override onResponseStart(...args: Parameters<PassingHandler['onResponseStart']>): void {
    const [controller, status, head] = args
    if (controller !== this.#controller) return
    const nonce = nonceOf(head)
    if (nonce !== undefined) this.#onNonce(nonce)
    const isWanted = status === 401 && /use_dpop_nonce/.test(String(head['www-authenticate'] ?? ''))
    if (nonce === undefined || !isWanted || this.#isRepeated) return super.onResponseStart(...args)
    this.#isRepeated = true
    this.#controller = undefined
    controller.abort(new Error('the server wants a nonce in the proof'))
    this.#send(this)
  }

  override onResponseData(...args: Parameters<PassingHandler['onResponseData']>): void {
    if (args[0] === this.#controller) super.onResponseData(...args)
  }

  override onResponseEnd(...args: Parameters<PassingHandler['onResponseEnd']>): void {
    if (args[0] === this.#controller) super.onResponseEnd(...args)
  }

  override onResponseError(...args: Parameters<PassingHandler['onResponseError']>): void {
    // one that was left for another try may still report its end
    if (args[0] === this.#controller || args[0] == null) super.onResponseError(...args)
  }
}

function nonceOf(head: ResponseHead): string | undefined {
  const value = head['dpop-nonce']
  const isNonce = typeof value === 'string' && /^[!#-[\]-~]+$/.test(value)
  return isNonce && value.length <= MAX_NONCE ? value : undefined
}
