import type { Message } from './message.js'
import { type Member, scanMembers, skipSpace } from './scan.js'

const LIMITS = { maxDepth: 128 }

const SUBSCRIPTION = ['_meta', 'io.modelcontextprotocol/subscriptionId']

/** The members that lead to what is replaced in messages. */
export const PLACES = {
  id: ['id'],
  protocolVersion: ['result', 'protocolVersion'],
  requestId: ['params', 'requestId'],
  token: ['params', '_meta', 'progressToken'],
  progress: ['params', 'progressToken'],
  subscription: ['params', ...SUBSCRIPTION],
  answeredSubscription: ['result', ...SUBSCRIPTION],
} as const

/** A part of a message's text, and what shall stand in its place. */
interface Part {
  readonly place: Pick<Member, 'start' | 'end'>
  readonly text: string
}

/**
 * Finds where the value of a member stands, below the members that lead to it. The text must have
 * passed `JSON.parse`. Of members with the same name the last one counts, as it does there.
 */
export function placeOf(text: string, path: readonly string[]): Member | undefined {
  let start = skipSpace(text, 0)
  let found: Member | undefined
  for (const name of path) {
    if (text[start] !== '{') return undefined
    found = scanMembers(text, start, LIMITS)?.findLast(({ key }) => key === name)
    if (found === undefined) return undefined
    start = found.start
  }
  return found
}

/** Returns the value of a member as it is written. */
export function writtenAt(text: string, path: readonly string[]): string | undefined {
  const place = placeOf(text, path)
  return place && text.slice(place.start, place.end)
}

/** The id of a request as its client wrote it. */
export function idText({ text, spans }: Pick<Message, 'text' | 'spans'>): string {
  const span = spans.get('id')
  return span === undefined ? 'null' : text.slice(span.start, span.end)
}

/** Returns the id of a message as it is written. */
export function writtenId(message: string | Buffer | undefined): string | undefined {
  return message === undefined ? undefined : writtenAt(message.toString(), PLACES.id)
}

/** Replaces parts of a text and leaves everything else as it is written. */
export function replacePlaces(text: string, parts: readonly Part[]): string {
  let result = ''
  let from = 0
  for (const { place, text: written } of parts.toSorted((a, b) => a.place.start - b.place.start)) {
    result += text.slice(from, place.start) + written
    from = place.end
  }
  return result + text.slice(from)
}

/** Replaces the value of one member, if it is there. */
export function replaceAt(text: string, path: readonly string[], written: string): string {
  const place = placeOf(text, path)
  return place === undefined ? text : replacePlaces(text, [{ place, text: written }])
}
