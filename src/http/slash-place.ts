/** 303 asks for a GET, which is no MCP. */
export const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 307, 308])

/**
 * Returns the path and query that a redirect names, when it differs from the URL's only by a slash at
 * the end of the path: web frameworks answer so to the one or the other. Nothing was done then, so
 * that the request may be sent again.
 */
export function slashPlace(url: URL, location: string | string[] | undefined): string | undefined {
  if (typeof location !== 'string' || !URL.canParse(location, url.href)) return undefined
  const to = new URL(location, url)
  if (to.origin !== url.origin || to.search !== url.search || to.username !== '') return undefined
  const isSame = to.pathname === `${url.pathname}/` || `${to.pathname}/` === url.pathname
  return isSame ? to.pathname + to.search : undefined
}
