// Pictures, at the size of the page or larger.
import { useState } from "react";
import { Download, useDownload } from "../ui/download.tsx";
import { bytes } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { RefusalView } from "../ui/parts.tsx";

/** What is shown as an image (docs/tasks.md). */
export const PICTURE = /^data:image\/(png|jpeg|gif|webp|avif|svg\+xml);base64,/;

/** In screen pixels for one of the picture. */
const SCALES = [0.25, 0.5, 1, 2, 4, 8];

interface PictureProps {
  url: string;
  name: string;
  /** Of the saved file. */
  file: string;
  sizeBytes: number;
  mediaType: string;
}

export function Picture({ url, name, file, sizeBytes, mediaType }: PictureProps) {
  const [scale, setScale] = useState<number>();
  const [size, setSize] = useState<{ width: number; height: number }>();
  const zoom = (step: 1 | -1) => {
    const now = scale ?? 1;
    const next = step > 0 ? SCALES.find((one) => one > now) : SCALES.findLast((one) => one < now);
    setScale(scale === undefined && step > 0 ? 1 : (next ?? now));
  };
  return (
    <figure className="pictureview">
      <div className="picturebox" {...(scale && { tabIndex: 0, role: "region", "aria-label": `${name}, enlarged` })}>
        <img
          className={`picture${scale && scale > 1 ? " sharp" : ""}`} src={url} alt={name} onLoad={({ currentTarget: { naturalWidth: width, naturalHeight: height } }) => setSize({ width, height })}
          style={scale && size ? { width: size.width * scale, maxWidth: "none" } : undefined}
        />
      </div>
      <figcaption className="row small muted">
        <span>{[size && `${size.width} × ${size.height}`, bytes(sizeBytes), mediaType].filter(Boolean).join(" · ")}</span>
        <span className="row end pages">
          <button type="button" className="btn icon quiet slim" aria-label="Smaller" title="Smaller" disabled={scale === SCALES[0]} onClick={() => zoom(-1)}>−</button>
          <button type="button" className="btn quiet slim" aria-live="polite" title="Fit the page" onClick={() => setScale(undefined)}>{scale ? `${scale * 100} %` : "Fit"}</button>
          <button type="button" className="btn icon quiet slim" aria-label="Larger" title="Larger" disabled={scale === SCALES.at(-1)} onClick={() => zoom(1)}>+</button>
        </span>
        <a className="btn slim soft" href={url} download={file}><Icon name="download" />Download {file}</a>
      </figcaption>
    </figure>
  );
}

export interface BlobValue {
  url: string;
  sizeBytes: string;
  mediaType: string;
}

/** A download, or the picture that a blob is. */
export function BlobView({ blob: { url, sizeBytes, mediaType }, name }: { blob: BlobValue; name: string }) {
  const isPicture = mediaType.startsWith("image/");
  const { local, reason } = useDownload(url, isPicture);
  const file = url.split("/").at(-1) ?? name;
  if (isPicture && reason) return <RefusalView reason={reason} />;
  if (isPicture) return local ? <Picture url={local} name={name} file={file} sizeBytes={Number(sizeBytes)} mediaType={mediaType} /> : null;
  return <p className="row"><Download url={url} file={file} /><span className="small muted">{bytes(Number(sizeBytes))}, {mediaType}</span></p>;
}
