import { ERROR_CODES, errorResponse, type RequestId } from '../mcp/jsonrpc.js'
import { LineSplitter } from '../mcp/lines.js'
import { isObject, tryParseJson } from '../util/json.js'
import { createRedactor } from '../util/redact.js'
import type { Runtime } from '../util/runtime.js'
import { createHostConnection } from './host.js'

const PATIENCE_MS = 3_000

/**
 * Answers the first request of the host with the reason why the bridge could not start, so that the
 * host can show it. Resolves when that is done, stdin is closed, or no request comes.
 */
export function answerPending(
  { io, clock }: Pick<Runtime, 'io' | 'clock'>,
  text: string,
): Promise<void> {
  if ((io.stdin as { isTTY?: boolean }).isTTY) return Promise.resolve()
  const { stdin } = io
  const message = createRedactor()(text)
  return new Promise((resolve) => {
    const finish = () => {
      cancel()
      stdin.off('data', read)
      stdin.pause()
      resolve()
    }
    const take = (line: Buffer) => {
      const request = tryParseJson(line.toString('utf8'))
      if (!isObject(request) || !('method' in request) || !isId(request['id'])) return
      const error = { code: ERROR_CODES.internalError, message }
      createHostConnection(io).send(errorResponse(request['id'], error))
      finish()
    }
    const lines = new LineSplitter(take, () => {})
    const read = (chunk: Buffer | string) => lines.push(Buffer.from(chunk))
    const cancel = clock.after(PATIENCE_MS, finish)
    stdin.on('data', read)
    for (const event of ['end', 'close', 'error'] as const) stdin.on(event, finish)
  })
}

function isId(value: unknown): value is RequestId {
  return typeof value === 'string' || typeof value === 'number'
}
