// A small chart of values over time, as our own SVG: a library would be larger than the rest of the page.

export interface Series {
  name: string;
  /** A class of console.css, which sets the colour. */
  className: string;
  values: (number | null)[];
}

const WIDTH = 300;
const HEIGHT = 80;

/** Several series on one scale from 0; the latest value is on the right. */
export function Chart({ title, series, span, format = String }: {
  title: string;
  series: Series[];
  /** The time that the chart covers, as text. */
  span: string;
  format?: (value: number) => string;
}) {
  const most = Math.max(1, ...series.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const newest = series.map(({ name, values }) => `${name} ${format(values.at(-1) ?? 0)}`).join(", ");
  return (
    <figure className="chart">
      <figcaption className="row">
        <strong>{title}</strong>
        {series.map(({ name, className, values }) => (
          <span key={name} className={`key ${className}`}>
            {name} <b>{format(values.at(-1) ?? 0)}</b>
          </span>
        ))}
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`${title}: ${newest}, over ${span}`}>
        <line x1="0" x2={WIDTH} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} />
        {series.map(({ name, className, values }) => (
          <path key={name} className={className} d={pathOf(values, { low: 0, high: most, width: WIDTH, height: HEIGHT })} />
        ))}
      </svg>
      <p className="row hint">
        <span>{span}</span>
        <span className="end">max {format(most)}</span>
      </p>
    </figure>
  );
}

interface Frame {
  /** The values at the bottom and at the top. */
  low: number;
  high: number;
  width: number;
  height: number;
}

/** A line with a gap wherever there is no value. */
export function pathOf(values: (number | null)[], { low, high, width, height }: Frame): string {
  const step = width / Math.max(1, values.length - 1);
  let begun = false;
  return values
    .map((value, index) => {
      if (value === null) {
        begun = false;
        return "";
      }
      const place = `${begun ? "L" : "M"}${(index * step).toFixed(1)} ${(height - 1 - ((value - low) / (high - low)) * (height - 6)).toFixed(1)}`;
      begun = true;
      return place;
    })
    .join("");
}
