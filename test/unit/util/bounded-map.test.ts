import { describe, expect, it } from 'vitest'
import { BoundedMap } from '../../../src/util/bounded-map.js'

function filled(maxEntries: number, keys: string, onDrop?: (value: string) => void) {
  const map = new BoundedMap<string, string>(maxEntries, onDrop)
  for (const key of keys) map.set(key, key.toUpperCase())
  return map
}

describe('BoundedMap', () => {
  it('keeps all entries up to its limit', () => {
    expect([...filled(3, 'abc')]).toEqual([
      ['a', 'A'],
      ['b', 'B'],
      ['c', 'C'],
    ])
  })

  it('drops the entry that was set longest ago for a new one', () => {
    expect([...filled(2, 'abc').keys()]).toEqual(['b', 'c'])
  })

  it('never grows beyond its limit', () => {
    const map = new BoundedMap<number, number>(10)
    for (let i = 0; i < 1_000; i++) {
      map.set(i % 37, i)
      expect(map.size).toBeLessThanOrEqual(10)
    }
  })

  it('drops nothing when a known key is set, and makes its entry the newest', () => {
    const map = filled(2, 'ab').set('a', 'again')
    expect([...map]).toEqual([
      ['b', 'B'],
      ['a', 'again'],
    ])
    expect([...map.set('c', 'C').keys()]).toEqual(['a', 'c'])
  })

  it('reads with get without changing what is dropped next', () => {
    const map = filled(2, 'ab')
    expect(map.get('a')).toBe('A')
    expect([...map.set('c', 'C').keys()]).toEqual(['b', 'c'])
  })

  it('drops the least recently used entry where entries are read with touch', () => {
    const map = filled(2, 'ab')
    expect(map.touch('a')).toBe('A')
    expect([...map.set('c', 'C').keys()]).toEqual(['a', 'c'])
  })

  it('adds nothing when an unknown key is touched', () => {
    const map = filled(2, 'a')
    expect(map.touch('x')).toBeUndefined()
    expect([...map.keys()]).toEqual(['a'])
  })

  it('tells of dropped values only, not of replaced, touched or deleted ones', () => {
    const dropped: string[] = []
    const map = filled(2, 'ab', (value) => dropped.push(value))
    map.set('a', 'again')
    map.touch('b')
    map.delete('a')
    expect(dropped).toEqual([])
    map.set('c', 'C').set('d', 'D')
    expect(dropped).toEqual(['B'])
  })

  it('has room again after entries were deleted', () => {
    const map = filled(2, 'ab')
    map.delete('b')
    expect([...map.set('c', 'C').keys()]).toEqual(['a', 'c'])
  })
})
