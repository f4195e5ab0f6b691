import type { IncomingMessage, ServerResponse } from 'node:http'
import { ERROR_CODES, errorResponse } from '../mcp/jsonrpc.js'
import type { Logger } from '../util/logger.js'

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

/**
 * Keeps an exception of one request from reaching Node's server, which would end the process with all
 * other requests.
 */
export function guardedHandler(handle: RequestHandler, logger: Logger): RequestHandler {
  return (request, response) => {
    try {
      handle(request, response)
    } catch (error) {
      const what = error instanceof Error ? error.stack : error
      logger.error('internal', `A request failed: ${what}`)
      if (response.headersSent) return void response.destroy()
      const wire = { code: ERROR_CODES.internalError, message: 'Internal error' }
      response.writeHead(500, { 'content-type': 'application/json' })
      response.end(errorResponse(null, wire))
    }
  }
}
