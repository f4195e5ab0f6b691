import { expect, it } from 'vitest'
import {
  type EventsOwner,
  RelayedEvents,
} from '../../../../src/gateway/forwarding/relayed-events.js'

it('a response on a stream that cannot be rewritten is none: an error has to come in its place', () => {
  const owner: EventsOwner = { invalid: () => '', answered() {}, withheld() {} }
  const response = () => {
    throw new Error('no')
  }
  const events = new RelayedEvents({ response }, { id: 1, idText: () => '1' }, owner)
  const event = Buffer.from('data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n')
  expect(() => events.inspect(event)).toThrow('no')
  expect(events.isAnswered).toBe(false)
})
