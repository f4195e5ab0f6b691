import type { JsonObject } from '../../../src/util/json.js'
import { CHOICES, DEFAULTS, form, VOCABULARY } from './schemas.js'

/** What a running tool may do, the same in both generations of the SDK. */
export interface Call {
  readonly progressToken: string | number | undefined
  notify(method: string, params: JsonObject): Promise<void>
  /** Sends a request to the client, on the stream of the call. */
  ask(method: string, params: JsonObject): Promise<JsonObject>
  /** Ends the stream of the call early; the result is there for whoever resumes it. */
  cutStream(): void
}

export interface EverythingTool {
  readonly inputSchema: JsonObject & { type: 'object' }
  run(args: JsonObject, call: Call): JsonObject | Promise<JsonObject>
}

const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mOoBwAAgQCAfhwpxwAAAABJRU5ErkJggg=='
const SILENCE = 'UklGRiwAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQgAAACAgICAgICAgA=='

const IMAGE = { type: 'image', data: PIXEL, mimeType: 'image/png' }
const AUDIO = { type: 'audio', data: SILENCE, mimeType: 'audio/wav' }
const embedded = (uri: string) => ({
  type: 'resource',
  resource: { uri, mimeType: 'text/plain', text: `Embedded as ${uri}.` },
})
const words = (text: string) => ({ type: 'text' as const, text })

/** What lists say of a tool or prompt: the suite wants something there. */
export const describeName = (name: string) => name.replaceAll('_', ' ')

/** A result of one text. */
export const say = (text: string) => ({ content: [words(text)] })

const pause = () => new Promise((resolve) => setTimeout(resolve, 20))

const NO_ARGUMENTS = { type: 'object' } as const
const tool = (
  run: EverythingTool['run'],
  inputSchema: EverythingTool['inputSchema'] = NO_ARGUMENTS,
): EverythingTool => ({ run, inputSchema })

const giving = (...content: JsonObject[]) => tool(() => ({ content }))

/** Asks the user to fill a form in; tells what came back. */
const asking = (requestedSchema: JsonObject) =>
  tool(async (_, call) => {
    const answer = await call.ask('elicitation/create', {
      message: 'Fill this in.',
      requestedSchema,
    })
    return say(JSON.stringify(answer))
  })

/** Tools under the names that the suite calls. */
export const TOOLS: Readonly<Record<string, EverythingTool>> = {
  test_simple_text: giving(words('Just a text.')),
  test_image_content: giving(IMAGE),
  test_audio_content: giving(AUDIO),
  test_embedded_resource: giving(embedded('test://embedded-resource')),
  test_multiple_content_types: giving(words('All of it:'), IMAGE, embedded('test://mixed')),
  test_error_handling: tool(() => ({ ...say('It went wrong, as it should.'), isError: true })),
  test_tool_with_logging: tool(async (_, call) => {
    for (const data of ['first', 'second', 'third']) {
      await call.notify('notifications/message', { level: 'info', data })
      await pause()
    }
    return say('Three messages were logged.')
  }),
  test_tool_with_progress: tool(async (_, call) => {
    const { progressToken } = call
    for (const progress of [0, 50, 100]) {
      if (progressToken === undefined) break
      await call.notify('notifications/progress', { progressToken, progress, total: 100 })
      await pause()
    }
    return say('Done.')
  }),
  test_reconnection: tool(async (_, call) => {
    call.cutStream()
    await pause()
    return say('Kept for the stream that follows.')
  }),
  test_sampling: tool(
    async ({ prompt }, call) => {
      const messages = [{ role: 'user', content: words(String(prompt)) }]
      return say(
        JSON.stringify(await call.ask('sampling/createMessage', { messages, maxTokens: 9 })),
      )
    },
    form({ prompt: { type: 'string' } }),
  ),
  test_elicitation: tool(
    async ({ message }, call) => {
      const requestedSchema = form({ answer: { type: 'string' } })
      return say(JSON.stringify(await call.ask('elicitation/create', { message, requestedSchema })))
    },
    form({ message: { type: 'string' } }),
  ),
  test_elicitation_sep1034_defaults: asking(DEFAULTS),
  test_elicitation_sep1330_enums: asking(CHOICES),
  json_schema_2020_12_tool: tool((args) => say(JSON.stringify(args)), VOCABULARY),
}

export interface EverythingPrompt {
  readonly arguments: readonly string[]
  content(args: JsonObject): JsonObject
}

/** Prompts under the names that the suite asks for; each is one message of the user. */
export const PROMPTS: Readonly<Record<string, EverythingPrompt>> = {
  test_simple_prompt: { arguments: [], content: () => words('Say something simple.') },
  test_prompt_with_arguments: {
    arguments: ['arg1', 'arg2'],
    content: ({ arg1, arg2 }) => words(`Use ${arg1}, then ${arg2}.`),
  },
  test_prompt_with_embedded_resource: {
    arguments: ['resourceUri'],
    content: ({ resourceUri }) => embedded(String(resourceUri)),
  },
  test_prompt_with_image: { arguments: [], content: () => IMAGE },
}

/** The message of a prompt. */
export const promptResult = (content: JsonObject): JsonObject => ({
  messages: [{ role: 'user', content }],
})

/** Resources under the URIs that the suite reads. */
export const RESOURCES: Readonly<Record<string, JsonObject & { mimeType: string }>> = {
  'test://static-text': { mimeType: 'text/plain', text: 'This text never changes.' },
  'test://static-binary': { mimeType: 'image/png', blob: PIXEL },
  'test://watched-resource': { mimeType: 'text/plain', text: 'Somebody watches this.' },
}

export const TEMPLATE = 'test://template/{id}/data'

/** Reads a resource, or one of the template's; `undefined` when there is none. */
export function readResource(uri: string): JsonObject | undefined {
  const known = RESOURCES[uri]
  if (known !== undefined) return { contents: [{ uri, ...known }] }
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1]
  if (id === undefined) return undefined
  return { contents: [{ uri, mimeType: 'text/plain', text: `Data of ${id}.` }] }
}

export const CAPABILITIES = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true, subscribe: true },
  logging: {},
  completions: {},
}
