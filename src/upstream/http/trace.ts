import { isSecretName } from '../../util/redact.js'
import { cutText } from '../../util/text.js'
import { shownUrl } from '../../util/url-text.js'
import { headerPairs, type Upstream, type UpstreamHandler } from '../upstream.js'
import type { Network } from './network.js'

const MAX_BODY = 2_000

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
      const body = request.body === undefined ? [] : [cutText(request.body.toString(), MAX_BODY)]
      const headers = render(headerPairs(request.headers))
      say('>', [`${request.method} ${shownUrl(url)}`, ...headers, ...body])
      upstream.send(request, traceAnswer(handler, say))
    },
    close: () => upstream.close(),
  }
}

/** Passes an answer on, and writes it when it ends. */
function traceAnswer(handler: UpstreamHandler, say: Say): UpstreamHandler {
  let head: string[] = []
  let body = ''
  const tell = () => {
    const text = body.trim()
    if (head.length > 0) say('<', [...head, ...(text === '' ? [] : [cutText(text, MAX_BODY)])])
    head = []
  }
  return {
    onRequestStart: (...args) => handler.onRequestStart?.(...args),
    onResponseStart(...args) {
      const [, status, headers] = args
      const pairs = Object.entries(headers).map(([name, value]) => [name, String(value)] as const)
      head = [`${status}`, ...render(pairs)]
      handler.onResponseStart?.(...args)
    },
    onResponseData(...args) {
      const [controller, chunk] = args
      if (body.length < MAX_BODY) body += chunk.toString('utf8')
      handler.onResponseData?.(...args)
      // the reader of a stream may close it
      if (controller.aborted) tell()
    },
    onResponseEnd(...args) {
      tell()
      handler.onResponseEnd?.(...args)
    },
    onResponseError(...args) {
      say('<', [...head, `failed: ${args[1].message}`])
      handler.onResponseError?.(...args)
    },
  }
}

/** Headers with a secret that their name does not show. */
const SECRET_HEADERS = /^(set-cookie|mcp-session-id)$/

function render(headers: Iterable<readonly [string, string]>): string[] {
  return [...headers].map(([name, value]) => {
    const isSecret = isSecretName(name) || SECRET_HEADERS.test(name.toLowerCase())
    return `${name}: ${isSecret ? '[redacted]' : value}`
  })
}
