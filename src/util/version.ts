/** Put in by the build from package.json. */
declare const __VERSION__: string | undefined

export const VERSION = typeof __VERSION__ === 'string' ? __VERSION__ : '0.0.0-source'

/** How we name ourselves to servers, in `User-Agent` and in `clientInfo`. */
export const PRODUCT = 'mcp-descope-proxy'
