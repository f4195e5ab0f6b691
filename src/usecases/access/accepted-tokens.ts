import type { TokenSource } from '../../auth/tokens/token-source.js'
import { PassingHandler, type Upstream, type UpstreamHandler } from '../../upstream/upstream.js'

/** Tells a source of tokens which of them a target took. */
export function withAcceptance(upstream: Upstream, source: TokenSource): Upstream {
  if (source.accepted === undefined) return upstream
  return {
    send(request, handler) {
      const at = request.headers.indexOf('authorization')
      const token = at < 0 ? '' : (request.headers[at + 1] ?? '').slice('Bearer '.length)
      upstream.send(request, new AcceptanceHandler(handler, () => source.accepted?.(token)))
    },
    close: () => upstream.close(),
  }
}

class AcceptanceHandler extends PassingHandler {
  readonly #onAccepted: () => void

  constructor(handler: UpstreamHandler, onAccepted: () => void) {
    super(handler)
    this.#onAccepted = onAccepted
  }

  override onResponseStart(...args: Parameters<PassingHandler['onResponseStart']>): void {
    const [, status] = args
    if (status >= 200 && status < 300) this.#onAccepted()
    super.onResponseStart(...args)
  }
}
