import { OWN_SENDER, withEnvelope } from '../mcp/meta.js'
import { isObject, type JsonObject, tryParseJson } from '../util/json.js'
import type { Clock, RunningProgram } from '../util/runtime.js'
import type { CheckExchange, McpClient } from './client.js'

/** Speaks MCP with a bridge, which authenticates itself, so headers are ignored. */
export function createStdioClient(
  clock: Pick<Clock, 'after'>,
  bridge: RunningProgram,
  timeoutMs: number,
): McpClient {
  const waiting = new Map<number, (exchange: CheckExchange) => void>()
  let lastId = 0
  let rest = ''
  let ended: string | undefined
  const failed = (cause: 'timeout' | 'cut_off', reason: string): CheckExchange => {
    return { kind: 'failed', failure: { cause, reason } }
  }

  bridge.onOutput((text) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) take(tryParseJson(line), line)
  })
  bridge.onEnd((lastWords) => {
    const said = lastWords.trim().split('\n').at(-1) ?? ''
    ended = `the bridge ended${said === '' ? '' : `: ${said.slice(0, 300)}`}`
    for (const resolve of waiting.values()) resolve(failed('cut_off', ended))
    waiting.clear()
  })

  const take = (message: unknown, text: string) => {
    if (!isObject(message)) return
    if ('method' in message) return answerRequest(message)
    const id = Number(message['id'])
    const header = () => undefined
    waiting.get(id)?.({ kind: 'answer', answer: { status: 200, header, text, message } })
    waiting.delete(id)
  }

  /** Answers requests of the target: we declared no capability, so only `ping` is valid. */
  const answerRequest = ({ id, method }: JsonObject) => {
    if (id === undefined) return
    const error = { code: -32601, message: 'Method not found' }
    const answer = method === 'ping' ? { result: {} } : { error }
    bridge.write(`${JSON.stringify({ jsonrpc: '2.0', id, ...answer })}\n`)
  }

  return {
    request({ method, era, params = {} }) {
      if (ended !== undefined) return Promise.resolve(failed('cut_off', ended))
      lastId += 1
      const id = lastId
      const full = era === 'stateless' ? withEnvelope(params, OWN_SENDER) : params
      return new Promise((resolve) => {
        const cancel = clock.after(timeoutMs, () => {
          waiting.delete(id)
          resolve(failed('timeout', `the bridge did not answer within ${timeoutMs / 1_000} s`))
        })
        waiting.set(id, (exchange) => {
          cancel()
          resolve(exchange)
        })
        bridge.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params: full })}\n`)
      })
    },
    async notify({ method, params = {} }) {
      bridge.write(`${JSON.stringify({ jsonrpc: '2.0', method, params })}\n`)
    },
    endSession: async () => undefined,
    close: () => bridge.close(),
  }
}
