import { expect, it } from 'vitest'
import { Roster } from '../../../src/util/roster.js'

function namesIn(roster: Roster<{ name: string; place: number }>): string[] {
  const names: string[] = []
  roster.each(({ name }) => names.push(name))
  return names.sort()
}

it('holds each item once, and lets it leave and come again', () => {
  const roster = new Roster<{ name: string; place: number }>()
  const [a, b, c] = ['a', 'b', 'c'].map((name) => ({ name, place: -1 })) as [never, never, never]
  for (const item of [a, b, c, a]) roster.add(item)
  roster.delete(a)
  roster.delete(a)
  expect(namesIn(roster)).toEqual(['b', 'c'])
  roster.delete(c)
  roster.add(a)
  expect(namesIn(roster)).toEqual(['a', 'b'])
  expect(roster.size).toBe(2)
})

it('shows every item though those that are shown leave', () => {
  const roster = new Roster<{ name: string; place: number }>()
  for (const name of ['a', 'b', 'c', 'd', 'e']) roster.add({ name, place: -1 })
  const shown: string[] = []
  roster.each((item) => {
    shown.push(item.name)
    if (item.name !== 'c') roster.delete(item)
  })
  expect(shown.sort()).toEqual(['a', 'b', 'c', 'd', 'e'])
  expect(namesIn(roster)).toEqual(['c'])
})
