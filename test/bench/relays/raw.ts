import { requestHeaders, startRelay } from './forward.js'

/** The reference: forwards everything, looks at nothing. */
startRelay((request, body) => ({
  headers: requestHeaders(request),
  body: body.length > 0 ? body : undefined,
}))
