import { isSecretName } from '../../util/redact.js'
import { shownUrl } from '../../util/url-text.js'
import { headerPairs, PassingHandler, type Upstream, type UpstreamHandler } from '../upstream.js'
import type { Network } from './network.js'

const MAX_BODY = 2_000

const REDACTED = '[redacted]'

/**
 * Writes each HTTP exchange: `>` marks lines of the request, `<` those of the answer. Bodies are shown
 * only of MCP, because those of OAuth hold secrets.
 */
export function traceNetwork(
  network: Network,
  clean: (text: string) => string,
  write: (text: string) => void,
): Network {
  const say = (mark: '>' | '<', lines: readonly string[]) => {
    write(`${lines.map((line) => `${mark} ${clean(line)}`).join('\n')}\n`)
  }
  return {
    async connect(url) {
      return traceUpstream(await network.connect(url), url, say)
    },
    async fetch(input, init) {
      const url = new URL(input instanceof Request ? input.url : input)
      const method = init?.method ?? 'GET'
      say('>', [`${method} ${shownUrl(url)}`, ...render(new Headers(init?.headers))])
      const response = await network.fetch(input, init)
      say('<', [`${response.status}`, ...render(response.headers)])
      return response
    },
    anew: () => traceNetwork(network.anew(), clean, write),
  }
}

type Say = (mark: '>' | '<', lines: readonly string[]) => void

function traceUpstream(upstream: Upstream, url: URL, say: Say): Upstream {
  return {
    send(request, handler) {
      const body = request.body === undefined ? [] : [cut(request.body.toString())]
      say('>', [
        `${request.method} ${shownUrl(url)}`,
        ...render(headerPairs(request.headers)),
        ...body,
      ])
      upstream.send(request, new TracingHandler(handler, say))
    },
    close: () => upstream.close(),
  }
}

class TracingHandler extends PassingHandler {
  readonly #say: Say
  #head: string[] = []
  #body = ''

  constructor(handler: UpstreamHandler, say: Say) {
    super(handler)
    this.#say = say
  }

  override onResponseStart(...args: Parameters<PassingHandler['onResponseStart']>): void {
    const [, status, headers] = args
    const pairs = Object.entries(headers).map(([name, value]) => [name, String(value)] as const)
    this.#head = [`${status}`, ...render(pairs)]
    super.onResponseStart(...args)
  }

  override onResponseData(...args: Parameters<PassingHandler['onResponseData']>): void {
    const [controller, chunk] = args
    if (this.#body.length < MAX_BODY) this.#body += chunk.toString('utf8')
    super.onResponseData(...args)
    // the reader of a stream may close it
    if (controller.aborted) this.#tell()
  }

  override onResponseEnd(...args: Parameters<PassingHandler['onResponseEnd']>): void {
    this.#tell()
    super.onResponseEnd(...args)
  }

  override onResponseError(...args: Parameters<PassingHandler['onResponseError']>): void {
    const [, error] = args
    this.#say('<', [...this.#head, `failed: ${error.message}`])
    super.onResponseError(...args)
  }

  #tell(): void {
    const body = this.#body.trim() === '' ? [] : [cut(this.#body.trim())]
    if (this.#head.length > 0) this.#say('<', [...this.#head, ...body])
    this.#head = []
  }
}

/** Headers with a secret that their name does not show. */
const SECRET_HEADERS = /^(set-cookie|mcp-session-id)$/

function render(headers: Iterable<readonly [string, string]>): string[] {
  return [...headers].map(([name, value]) => {
    const isSecret = isSecretName(name) || SECRET_HEADERS.test(name.toLowerCase())
    return `${name}: ${isSecret ? REDACTED : value}`
  })
}

function cut(text: string): string {
  return text.length > MAX_BODY ? `${text.slice(0, MAX_BODY)}…` : text
}
