import { isDeepStrictEqual } from 'node:util'
import { isObject, type JsonObject, tryParseJson } from '../../../src/util/json.js'
import { callText, toolList } from '../content.js'
import type { Endpoint, Work } from './request.js'

/** Throws, naming what is wrong, unless `body` is the one right answer to request `id`. */
export function checkAnswer(
  contentType: string,
  body: string,
  id: number,
  work: Work,
  endpoint: Endpoint,
): void {
  const message = messagesOf(contentType, body).find((candidate) => candidate['id'] === id)
  const excerpt = JSON.stringify(body.slice(0, 200))
  if (message === undefined) throw new Error(`no answer with id ${id} in ${excerpt}`)
  const result = message['result']
  if (!isObject(result)) throw new Error(`no result in ${excerpt}`)
  const right =
    work.method === 'tools/call'
      ? isDeepStrictEqual(result['content'], [{ type: 'text', text: callText(id, work.size) }])
      : isDeepStrictEqual(result['tools'], toolList(work.tools, endpoint.prefix))
  if (!right) throw new Error(`wrong ${work.method} result in ${excerpt}`)
}

/** The messages of a JSON answer or of an event stream answer. */
export function messagesOf(contentType: string, body: string): JsonObject[] {
  const texts = contentType.startsWith('text/event-stream') ? eventTexts(body) : [body]
  return texts.map(tryParseJson).filter(isObject)
}

function eventTexts(body: string): string[] {
  return body
    .split('\n\n')
    .map((event) => /^data: ?(.*)$/m.exec(event)?.[1])
    .filter((text) => text !== undefined)
}
