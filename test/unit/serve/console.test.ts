import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { expect, it } from 'vitest'
import { createConsole } from '../../../src/serve/console/console.js'
import { createManualClock } from '../../helpers/runtime.js'

/** A page that is open, and what it was sent. */
function createPage() {
  const sent: string[] = []
  const members = { writableNeedDrain: false, writeHead: () => page, write: sent.push.bind(sent) }
  const page = Object.assign(new EventEmitter(), members, { end: () => page })
  return { sent, page: page as unknown as ServerResponse, leave: () => page.emit('close') }
}

it('a page of the console is updated as often, however often pages come and go', async () => {
  const clock = createManualClock()
  let answer: ((text: string) => void)[] = []
  const recent = { calls: () => [], failure: () => undefined }
  const { handle } = createConsole({
    ...{ clock, recent, settings: [], redact: (text: string) => text, token: undefined },
    metrics: () =>
      new Promise<string>((resolve) => {
        answer.push(resolve)
      }),
  })
  const settle = async () => {
    for (const resolve of answer) resolve('')
    answer = []
    await clock.advance(0)
  }
  await settle()
  const events = { method: 'GET', url: '/events', headers: {} } as IncomingMessage
  // each goes away while the metrics of all workers are still being asked for
  for (let i = 0; i < 5; i++) {
    const { page, leave } = createPage()
    expect(handle(events, page)).toBe(true)
    leave()
  }
  const { sent, page } = createPage()
  handle(events, page)
  await settle()
  const first = sent.length
  for (let i = 0; i < 2; i++) {
    await clock.advance(2_000)
    await settle()
  }
  expect(sent.length - first).toBe(2)
})
