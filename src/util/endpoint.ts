/** How most servers name the path of their MCP endpoint. */
const USUAL = '/mcp'

/**
 * Guesses the MCP endpoint that somebody meant who named another place of a server, such as its front
 * page; `undefined` where the URL looks like an endpoint already. Without the query, which may hold
 * something secret.
 */
export function likelyEndpoint(url: URL): string | undefined {
  const path = url.pathname.replace(/\/{1,64}$/, '')
  if (/\/(?:mcp|sse|messages?)$/i.test(path)) return undefined
  return `${url.origin}${path}${USUAL}`
}

/** Asks whether the MCP endpoint was meant, in place of an address that turned out to be none. */
export function didYouMeanEndpoint(url: URL): string | undefined {
  const likely = likelyEndpoint(url)
  return likely === undefined ? undefined : `Did you mean ${likely}?`
}

/**
 * Guesses the URL that somebody meant who left out its scheme, or misspelt it; `undefined` where a
 * text looks more like a name.
 */
export function likelyUrl(text: string): string | undefined {
  if (text.length > 2_000 || /[\s\\"'<>]/.test(text)) return undefined
  const rest = /^[a-z]{2,8}:\/{1,3}(.+)$/i.exec(text)?.[1] ?? text.replace(/^\/\//, '')
  const host = /^(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::\d{1,5})?(?=[/?#]|$)/i.exec(rest)?.[1]
  if (host === undefined) return undefined
  const isLocal = /^(?:localhost|127\.[\d.]+|\[::1\])$/i.test(host)
  const looksLikeHost = isLocal || host.includes('.') || host.startsWith('[')
  if (!looksLikeHost && !/[:/]/.test(rest)) return undefined
  const url = `${isLocal ? 'http' : 'https'}://${rest}`
  if (!URL.canParse(url)) return undefined
  const { origin, pathname, username, password } = new URL(url)
  if (username !== '' || password !== '') return undefined
  return pathname === '/' ? `${origin}${USUAL}` : `${origin}${pathname}`
}
