import { expect, it } from 'vitest'
import { messageOf } from '../../../src/util/errors.js'

it.each([
  [new Error('no'), 'no'],
  ['no', 'no'],
  [undefined, 'undefined'],
])('says what was thrown: %s', (thrown, message) => expect(messageOf(thrown)).toBe(message))
