import { Agent, type IncomingMessage, request } from 'node:http'
import { createInterface } from 'node:readline'

/** The least bridge: lines in, POSTs out, answers back as lines; no sign-in, no checks of them. */

const url = process.env['BENCH_TARGET_URL'] ?? 'http://127.0.0.1'
const headers: Record<string, string> = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  authorization: `Bearer ${process.env['BENCH_TARGET_TOKEN']}`,
}
const agent = new Agent({ keepAlive: true })

function forward(line: string): void {
  const length = Buffer.byteLength(line)
  const options = { method: 'POST', agent, headers: { ...headers, 'content-length': length } }
  request(url, options, pass).on('error', fail).end(line)
}

function pass(response: IncomingMessage): void {
  const session = response.headers['mcp-session-id']
  if (typeof session === 'string') headers['mcp-session-id'] = session
  const parts: Buffer[] = []
  response.on('data', (part: Buffer) => parts.push(part))
  response.on('error', fail)
  response.on('end', () => {
    const isStream = response.headers['content-type'] === 'text/event-stream'
    if (isStream) process.stdout.write(events(Buffer.concat(parts).toString()))
    else if (parts.length > 0) process.stdout.write(Buffer.concat([...parts, NEWLINE]))
  })
}

const NEWLINE = Buffer.from('\n')

/** The data of each event, one a line. The bench's target writes each in one piece. */
function events(text: string): string {
  return [...text.matchAll(/^data: ?(.*)$/gm)].map(([, data]) => `${data}\n`).join('')
}

function fail(error: Error): never {
  console.error(error)
  process.exit(1)
}

createInterface({ input: process.stdin }).on('line', forward).on('close', process.exit)
