import type {
  ResponseHead,
  Upstream,
  UpstreamController,
  UpstreamHandler,
  UpstreamRequest,
} from '../upstream.js'
import { unusableAnswer } from '../upstream-error.js'
import { codingsOf, createDecoder, type Decoder } from './decode.js'

/** Told of an error in what reads an answer, which is a mistake of ours. */
export type OnFault = (error: unknown) => void

/** Where requests go, once the target said that its path has a slash more or less. */
interface Place {
  readonly url: URL
  path: string | undefined
}

/**
 * Makes the answers on some connections plain: compressed ones are decompressed, a redirect that only
 * adds or drops a slash at the end of the path is followed and remembered, and an exception in whoever
 * reads an answer fails that one request.
 */
export function plainAnswers(
  connections: Upstream,
  url: URL,
  onFault: OnFault = () => {},
): Upstream {
  const place: Place = { url, path: undefined }
  const parts = { connections, place, onFault }
  const upstream: Upstream = {
    send(request, handler) {
      new PlainAnswer(parts, request, handler).send()
    },
    close: () => connections.close(),
  }
  return connections.held === undefined ? upstream : { ...upstream, held: connections.held }
}

/** What all requests on some connections share. */
interface Parts {
  readonly connections: Upstream
  readonly place: Place
  readonly onFault: OnFault
}

/**
 * One request, and the way of its answer. Its handler knows it as the controller. An exception in the
 * handler fails that one request, and does not get to whatever called us: a socket, a parser or a
 * timer, where it would end the process.
 */
class PlainAnswer implements UpstreamHandler, UpstreamController {
  readonly #parts: Parts
  readonly #request: UpstreamRequest
  readonly #handler: UpstreamHandler
  /** The connection that the answer comes on. */
  #inner: UpstreamController | undefined
  #decoder: Decoder | undefined
  #followedTo: string | undefined
  #reason: Error | null = null
  #isPaused = false
  /** The decoder takes no more for now. */
  #isFull = false
  #isOver = false
  /** Nothing more comes on the connection. */
  #hasAll = false

  constructor(parts: Parts, request: UpstreamRequest, handler: UpstreamHandler) {
    this.#parts = parts
    this.#request = request
    this.#handler = handler
  }

  send(): void {
    const { connections, place } = this.#parts
    const request = this.#request
    const path = this.#followedTo ?? request.path ?? place.path
    connections.send(path === request.path ? request : { ...request, path: path as string }, this)
  }

  get aborted(): boolean {
    return this.#reason !== null || this.#inner?.aborted === true
  }

  get reason(): Error | null {
    return this.#reason ?? this.#inner?.reason ?? null
  }

  get paused(): boolean {
    return this.#isPaused
  }

  abort(reason: Error): void {
    this.#reason ??= reason
    this.#decoder?.destroy()
    this.#inner?.abort(reason)
  }

  pause(): void {
    this.#isPaused = true
    this.#decoder?.pause()
    this.#inner?.pause()
  }

  resume(): void {
    this.#isPaused = false
    this.#decoder?.resume()
    if (!this.#isFull) this.#inner?.resume()
  }

  onRequestStart(controller: UpstreamController, context: unknown): void {
    const isFirst = this.#inner === undefined
    this.#inner = controller
    if (!isFirst) {
      if (this.#reason !== null) controller.abort(this.#reason)
      return
    }
    try {
      this.#handler.onRequestStart?.(this, context)
    } catch (error) {
      this.#fault(error)
    }
  }

  onResponseStart(
    controller: UpstreamController,
    status: number,
    head: ResponseHead,
    text?: string,
  ): void {
    if (controller !== this.#inner) return
    const { place } = this.#parts
    if (REDIRECTS.has(status) && this.#mayFollow) {
      const from = place.path === undefined ? place.url : new URL(place.url.origin + place.path)
      this.#followedTo = slashPlace(from, head['location'])
      if (this.#followedTo !== undefined) return this.#follow(controller)
    }
    if (this.#followedTo !== undefined && status < 300) place.path = this.#followedTo
    const encoding = status < 200 ? undefined : head['content-encoding']
    const isPlain = encoding === undefined || codingsOf(String(encoding)).length === 0
    const plain = isPlain ? head : this.#decode(String(encoding), head)
    try {
      this.#handler.onResponseStart?.(this, status, plain, text)
    } catch (error) {
      this.#fault(error)
    }
  }

  onResponseData(controller: UpstreamController, chunk: Buffer): void {
    if (controller !== this.#inner) return
    if (this.#decoder === undefined) return this.#data(chunk)
    this.#isFull = !this.#decoder.write(chunk)
    if (this.#isFull) controller.pause()
  }

  #data(chunk: Buffer): void {
    if (this.#isOver) return
    try {
      this.#handler.onResponseData?.(this, chunk)
    } catch (error) {
      this.#fault(error)
    }
  }

  onResponseEnd(controller: UpstreamController): void {
    if (controller !== this.#inner) return
    this.#hasAll = true
    if (this.#decoder === undefined) this.#end()
    else this.#decoder.end()
  }

  #end(): void {
    if (this.#isOver) return
    try {
      this.#handler.onResponseEnd?.(this, {})
      this.#isOver = true
    } catch (error) {
      this.#fault(error)
    }
  }

  onResponseError(controller: UpstreamController, error: Error): void {
    // an answer that was left for the place that it names may still report its end
    if (this.#inner !== undefined && controller !== this.#inner && controller != null) return
    this.#decoder?.destroy()
    this.#fail(error)
  }

  #fail(error: Error): void {
    if (this.#isOver) return
    this.#isOver = true
    // whoever was not told of a start knows no controller yet
    const known = this.#inner === undefined ? undefined : this
    try {
      this.#handler.onResponseError?.(known as UpstreamController, error)
    } catch (fault) {
      // nobody is left who could be told, but for whoever keeps the log
      this.#parts.onFault(fault)
    }
  }

  /** Fails the request, since its handler threw. */
  #fault(error: unknown): void {
    this.#parts.onFault(error)
    this.#fail(unusableAnswer(error))
    this.abort(new Error('the answer could not be read'))
  }

  /** Reads compressed bytes from here on; the head then says nothing of them. */
  #decode(encoding: string, head: ResponseHead): ResponseHead {
    this.#decoder = createDecoder(encoding, {
      onData: (chunk) => this.#data(chunk),
      onEnd: () => {
        this.#end()
        // nobody would read what stands behind the compressed bytes
        if (!this.#hasAll) this.#inner?.abort(new Error('its compressed bytes have ended'))
      },
      onError: (error) => {
        this.#fail(error)
        this.#inner?.abort(error)
      },
      onDrain: () => {
        this.#isFull = false
        if (!this.#isPaused) this.#inner?.resume()
      },
    })
    if (this.#decoder === undefined) return head
    const { 'content-encoding': _, 'content-length': __, ...plain } = head
    return plain
  }

  /** Once a request: a place that was remembered may have been given up again. */
  get #mayFollow(): boolean {
    return (this.#followedTo ?? this.#request.path) === undefined
  }

  #follow(controller: UpstreamController): void {
    // whatever it still says comes from a controller that is no longer ours
    this.#inner = NO_CONTROLLER
    controller.abort(new Error('it named another place'))
    this.send()
  }
}

/** Stands for the connection between two tries of a request. */
const NO_CONTROLLER: UpstreamController = {
  ...{ aborted: false, paused: false, reason: null },
  abort() {},
  pause() {},
  resume() {},
}

/** 303 demands a GET, which is not MCP. */
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 307, 308])

/**
 * Returns the path and query that a redirect names, when it differs from the URL's only by a slash at
 * the end of the path: web frameworks answer so to the one or the other. Nothing was done then, so
 * that the request may be sent again.
 */
function slashPlace(url: URL, location: string | string[] | undefined): string | undefined {
  if (typeof location !== 'string' || !URL.canParse(location, url.href)) return undefined
  const to = new URL(location, url)
  if (to.origin !== url.origin || to.search !== url.search || to.username !== '') return undefined
  const isSame = to.pathname === `${url.pathname}/` || `${to.pathname}/` === url.pathname
  return isSame ? to.pathname + to.search : undefined
}
