import {
  acceptedContent,
  CLIENT_CAPABILITIES_META_KEY,
  type InputRequests,
  inputRequired,
  type McpServer,
  ProtocolError,
  ProtocolErrorCode,
  type RequestStateCodec,
  type ServerContext,
} from '@modelcontextprotocol/server'
import type { JsonObject } from '../../../src/util/json.js'
import { describeName, promptResult, say } from './contents.js'
import { form } from './schemas.js'

type Codec = RequestStateCodec<JsonObject>
type Tool = (ctx: ServerContext) => unknown

const text = { type: 'string' } as const
const confirmation = () => elicit({ ok: { type: 'boolean' } })
const elicit = (properties: Record<string, JsonObject>) =>
  inputRequired.elicit({ message: 'Tell me.', requestedSchema: form(properties) as never })
const sample = () =>
  inputRequired.createMessage({
    messages: [{ role: 'user', content: { type: 'text', text: 'Name a town.' } }],
    maxTokens: 9,
  })

const answers = ({ mcpReq }: ServerContext): JsonObject => mcpReq.inputResponses ?? {}
/** One member of a form that the user filled in. */
const filled = ({ mcpReq }: ServerContext, key: string, member: string): unknown =>
  acceptedContent<JsonObject>(mcpReq.inputResponses, key)?.[member]

/** Registers what asks with `input_required`, under the names that the suite calls. */
export function registerAsking(server: McpServer, codec: Codec): void {
  for (const [name, run] of Object.entries(createTools(codec))) {
    server.registerTool(
      name,
      { description: describeName(name) },
      async (ctx) => (await run(ctx)) as never,
    )
  }
  const prompt = 'test_input_required_result_prompt'
  server.registerPrompt(prompt, { description: describeName(prompt) }, (ctx: ServerContext) => {
    const context = filled(ctx, 'user_context', 'context')
    if (typeof context !== 'string') {
      return inputRequired({ inputRequests: { user_context: elicit({ context: text }) } })
    }
    return promptResult({ type: 'text', text: `Write about ${context}.` }) as never
  })
}

function createTools(codec: Codec): Record<string, Tool> {
  const confirmed: Tool = async (ctx) => {
    if (filled(ctx, 'confirm', 'ok') === undefined) {
      const requestState = await codec.mint({ asked: Math.random() })
      return inputRequired({ inputRequests: { confirm: confirmation() }, requestState })
    }
    if (ctx.mcpReq.requestState() === undefined) {
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'requestState is missing')
    }
    return say('state-ok')
  }
  return {
    test_input_required_result_elicitation: (ctx) => {
      const name = filled(ctx, 'user_name', 'name')
      if (typeof name === 'string') return say(`Welcome, ${name}.`)
      return inputRequired({ inputRequests: { user_name: elicit({ name: text }) } })
    },
    test_input_required_result_sampling: (ctx) => {
      const { town } = answers(ctx)
      return town === undefined
        ? inputRequired({ inputRequests: { town: sample() } })
        : say(JSON.stringify(town))
    },
    test_missing_capability: () => inputRequired({ inputRequests: { town: sample() } }),
    test_input_required_result_list_roots: (ctx) => {
      const { roots } = answers(ctx)
      return roots === undefined
        ? inputRequired({ inputRequests: { roots: inputRequired.listRoots() } })
        : say(JSON.stringify(roots))
    },
    test_input_required_result_request_state: confirmed,
    test_input_required_result_tampered_state: confirmed,
    test_input_required_result_multiple_inputs: async (ctx) => {
      const given = answers(ctx)
      const inputRequests = {
        who: elicit({ name: text }),
        town: sample(),
        roots: inputRequired.listRoots(),
      }
      if (Object.keys(inputRequests).every((key) => key in given)) return say(JSON.stringify(given))
      return inputRequired({ inputRequests, requestState: await codec.mint({}) })
    },
    test_input_required_result_multi_round: async (ctx) => {
      const round = Number(ctx.mcpReq.requestState<JsonObject>()?.['round'] ?? 0)
      if (round === 2) return say('Two rounds were enough.')
      const inputRequests = { [`round${round}`]: elicit({ [`answer${round}`]: text }) }
      return inputRequired({ inputRequests, requestState: await codec.mint({ round: round + 1 }) })
    },
    test_input_required_result_capabilities: ({ mcpReq }) => {
      if (mcpReq.inputResponses !== undefined) return say(JSON.stringify(mcpReq.inputResponses))
      const envelope: JsonObject = { ...mcpReq.envelope }
      const able = envelope[CLIENT_CAPABILITIES_META_KEY] as JsonObject | undefined
      const inputRequests: InputRequests = {
        ...(able?.['elicitation'] !== undefined && { who: elicit({ name: text }) }),
        ...(able?.['sampling'] !== undefined && { town: sample() }),
      }
      if (Object.keys(inputRequests).length === 0) return say('There is nobody to ask.')
      return inputRequired({ inputRequests })
    },
  }
}
