import { type IncomingMessage, request as send } from 'node:http'
import { Transform } from 'node:stream'
import { type Listening, listen } from '../helpers/targets/listen.js'

/** What a proxy puts in front of names and into URIs, with several targets. */
interface Exposed {
  readonly prefix: string
  readonly host: string
}

/**
 * Stands between the suite and the proxy, because the suite knows neither tokens nor other names
 * than its own: adds the token to each request and, if told so, turns the suite's names and URIs
 * into the proxy's and back. All else goes through as it is, Host and Origin too.
 */
export async function startShim(
  url: string,
  token: string,
  target?: string,
): Promise<Listening & { url: string }> {
  const exposed = target === undefined ? undefined : { prefix: `${target}_`, host: `${target}/` }
  const shim = await listen((incoming, response) => {
    const sending = send(url, {
      method: incoming.method,
      headers: headersOf(incoming, token, exposed),
    })
    sending.on('error', () => response.destroy())
    sending.on('response', (answer) => {
      const { 'content-length': _, ...headers } = answer.headers
      response.writeHead(answer.statusCode ?? 502, headers)
      response.flushHeaders()
      answer.on('error', () => response.destroy())
      answer
        .pipe(byLine((line) => (exposed === undefined ? line : hide(line, exposed))))
        .pipe(response)
    })
    response.once('close', () => sending.destroy())
    incoming
      .pipe(byLine((line) => (exposed === undefined ? line : expose(line, exposed))))
      .pipe(sending)
  })
  return Object.assign(Object.create(shim), { url: `${shim.origin}${new URL(url).pathname}` })
}

function headersOf({ headers }: IncomingMessage, token: string, exposed: Exposed | undefined) {
  const { 'content-length': _, 'mcp-name': name, ...others } = headers
  return {
    ...others,
    authorization: `Bearer ${token}`,
    ...(name !== undefined && { 'mcp-name': exposed ? exposeName(String(name), exposed) : name }),
  }
}

const exposeName = (name: string, { prefix, host }: Exposed) =>
  name.startsWith('test://') ? name.replace('test://', `test://${host}`) : `${prefix}${name}`

/** In a message of the suite: names start with `test_`, URIs with `test:`. */
const expose = (text: string, { prefix, host }: Exposed) =>
  text
    .replaceAll('"name":"test_', `"name":"${prefix}test_`)
    .replaceAll('"uri":"test://', `"uri":"test://${host}`)

const hide = (text: string, { prefix, host }: Exposed) =>
  text.replaceAll(`"name":"${prefix}`, '"name":"').replaceAll(`test://${host}`, 'test://')

/** Changes each line as soon as it is complete: one is a message, or an event's part. */
function byLine(change: (line: string) => string): Transform {
  let rest = ''
  return new Transform({
    decodeStrings: false,
    transform(chunk: Buffer, _encoding, done) {
      const lines = (rest + chunk.toString('latin1')).split('\n')
      rest = lines.pop() ?? ''
      done(null, Buffer.from(lines.map((line) => `${change(line)}\n`).join(''), 'latin1'))
    },
    flush(done) {
      done(null, Buffer.from(change(rest), 'latin1'))
    },
  })
}
