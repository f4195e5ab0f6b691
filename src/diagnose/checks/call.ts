import { paramHeaders, scanParams } from '../../upstream/translate/param-headers.js'
import { headerPairs } from '../../upstream/upstream.js'
import { isObject, type JsonObject, stringMember } from '../../util/json.js'
import type { Clock } from '../../util/runtime.js'
import { type Check, fail, pass, type Verdict } from '../check.js'
import { resultOf, rpcErrorOf } from '../client.js'
import { explain } from '../explain.js'
import type { ContentKind, List } from '../lists.js'
import type { Probe } from '../probe.js'

/** A tool call to make, and the expected result. */
export interface WantedCall {
  readonly tool: string
  readonly arguments: JsonObject
  /** Whether the tool is expected to fail. */
  readonly isError: boolean
  /** Text that the result must contain. */
  readonly contains: string | undefined
}

type Lists = (kind: ContentKind) => Promise<List>

/** Creates a check for each call; the second of the same tool is `tools.call:<name>#2`. */
export function callChecks(probe: Probe, lists: Lists, calls: readonly WantedCall[]): Check[] {
  return calls.map((call, index) => {
    const nth = calls.slice(0, index + 1).filter(({ tool }) => tool === call.tool).length
    return {
      id: `tools.call:${call.tool}${nth > 1 ? `#${nth}` : ''}`,
      needs: ['tools.list'],
      run: () => checkCall(probe, lists, call),
    }
  })
}

async function checkCall(probe: Probe, lists: Lists, call: WantedCall): Promise<Verdict> {
  const { tool: name } = call
  const session = await probe.session()
  const { entries } = await lists('tools')
  const tool = entries.find((entry) => entry['name'] === name)
  if (tool === undefined) {
    const names = entries.map((entry) => String(entry['name'])).slice(0, 20)
    const hint = names.length === 0 ? 'The list is empty.' : `The tools are ${names.join(', ')}.`
    return fail('there is no such tool', hint, 'TOOL_FAILED')
  }
  const params = { name, arguments: call.arguments }
  const headers = session.era === 'stateless' ? mirrored(tool, call.arguments) : {}
  const exchange = await session.request('tools/call', params, headers)
  const result = resultOf(exchange)
  if (result === undefined) {
    const { outcome, detail, hint = '', code } = explain(exchange, 'tools/call')
    const isError = rpcErrorOf(exchange) !== undefined
    return { outcome, detail, hint, code: isError ? 'TOOL_FAILED' : (code ?? 'TOOL_FAILED') }
  }
  probe.seen.push({ method: 'tools/call', result })
  return judge(call, tool, result)
}

function mirrored({ inputSchema }: JsonObject, args: JsonObject): Record<string, string> {
  const scan = scanParams(inputSchema)
  return scan.valid ? Object.fromEntries(headerPairs(paramHeaders(scan.params, args))) : {}
}

async function judge(
  { isError, contains }: WantedCall,
  tool: JsonObject,
  result: JsonObject,
): Promise<Verdict> {
  const blocks = Array.isArray(result['content']) ? result['content'].filter(isObject) : []
  const text = blocks.map((block) => stringMember(block, 'text') ?? '').join('\n')
  const said = JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text)
  const failed = result['isError'] === true
  if (failed && !isError) {
    return fail(
      `the tool reports a failure: ${said}`,
      'Correct the arguments or the tool; if the failure is right, expect {"isError":true}.',
      'TOOL_FAILED',
    )
  }
  if (!failed && isError) {
    return fail('the tool succeeds, although a failure is expected', 'Correct the tool or --call.')
  }
  if (contains !== undefined && !`${text}\n${JSON.stringify(result)}`.includes(contains)) {
    return fail(
      `${JSON.stringify(contains)} is not in the result ${said}`,
      'Correct the tool or --call.',
    )
  }
  const { outputSchema } = tool
  if (isObject(outputSchema) && !failed) {
    const problem = await judgeOutput(outputSchema, result['structuredContent'])
    if (problem !== undefined) return problem
  }
  const kinds = blocks.map((block) => String(block['type']))
  const count = `${blocks.length} ${blocks.length === 1 ? 'block' : 'blocks'}`
  return pass(blocks.length === 0 ? 'no content' : `${count}: ${[...new Set(kinds)].join(', ')}`)
}

async function judgeOutput(schema: JsonObject, content: unknown): Promise<Verdict | undefined> {
  if (content === undefined) {
    return fail(
      'the result has no "structuredContent", although the tool has an "outputSchema"',
      'Return "structuredContent" that fits the schema.',
      'PROTOCOL_INVALID',
    )
  }
  const { outputProblem } = await import('./output-schema.js')
  const problem = outputProblem(schema, content)
  if (problem === undefined) return undefined
  return problem.of === 'schema'
    ? fail(
        `the "outputSchema" of the tool cannot be used: ${problem.text}`,
        'Correct the schema: clients compile it, and otherwise drop the tool or its results.',
        'PROTOCOL_INVALID',
      )
    : fail(
        problem.text,
        'Return a result that fits the "outputSchema", or correct the schema: clients drop such results.',
        'PROTOCOL_INVALID',
      )
}

const SAMPLES = 20

/** Creates the check of how fast the target answers. */
export function budgetCheck(probe: Probe, p95Ms: number, clock: Pick<Clock, 'now'>): Check {
  return {
    id: 'budget.p95',
    needs: ['protocol.modern', 'protocol.legacy'],
    async run() {
      const session = await probe.session()
      const method = isObject(session.capabilities['tools'])
        ? 'tools/list'
        : session.era === 'stateless'
          ? 'server/discover'
          : 'ping'
      const times: number[] = []
      for (let i = 0; i < SAMPLES; i++) {
        const began = clock.now()
        const exchange = await session.request(method)
        if (exchange.kind === 'failed') return explain(exchange, method)
        times.push(clock.now() - began)
      }
      const sorted = times.sort((a, b) => a - b)
      const p95 = sorted[Math.ceil(SAMPLES * 0.95) - 1] ?? 0
      const detail = `p95 of ${SAMPLES} ${method} is ${p95} ms, the budget ${p95Ms} ms`
      if (p95 <= p95Ms) return pass(detail)
      return fail(detail, 'Make the server faster, or raise the budget.')
    },
  }
}
